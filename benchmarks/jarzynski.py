"""What auditors and refresh are worth: log Z along training against enumeration, and a mass in 50 dimensions.

    python benchmarks/jarzynski.py --only machine       machines of 9x6 on 3x3 bars and stripes and of 64x12 on digits
    python benchmarks/jarzynski.py --only mixture       modes at -10 and 6 on one axis of 50, masses .2/.8 and .25/.75
    python benchmarks/jarzynski.py --only neural        a network in the plane, modes 12 sigma apart, masses .25 and .75
    python benchmarks/jarzynski.py --seeds 5
    python benchmarks/jarzynski.py --only none --write  no run; the tables of docs/ideas/objective.md and
                                                        docs/which_training.md from what there is

`machine`: every 200 (digits: 100) steps log Z of the auditors is held against enumeration; told are how many checks lie
within 2 of its own error bars, the errors of both halves at the end, and what the drivers' should be by theory: the sum over
steps of -rate / walkers x tr Cov of the gradient. `mixture`: the mass of the mode at 6 that the model learned, read off its
parameters. `neural`: the mass of the mode at the right, by quadrature. Runs are kept in benchmarks/auditors.json and not
made twice. Means over seeds and the worst come last.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array
from results import put

from energax.audit.method import normalised_by
from energax.audit.problems import two_modes_plane
from energax.core import AbstractEnergy
from energax.data import Batches, load
from energax.energies import (
    BernoulliRBM,
    Gaussian,
    GaussianMixture,
    IndependentBits,
    bars_and_stripes,
    rbm_exact,
    rbm_samples,
)
from energax.objectives import (
    ContrastiveDivergence,
    DenoisingScoreMatching,
    GeneratorStart,
    Jarzynski,
    NoiseContrastive,
    PersistentCD,
    ScoreMatching,
)
from energax.samplers import MALA, BlockGibbs, ULAPair
from energax.training import Phase, Trainer, run_steps

DIM, MASSES = 50, (0.8, 0.75)
MIXTURE_RULES = (
    "naive", "held-out, MALA", "held-out, MALA, four times the walkers", "pcd", "cd", "dsm", "score matching", "nce",
)  # fmt: skip
NEURAL_RULES = ("naive", "held-out", "held-out, four times the walkers", "pcd", "cd", "dsm", "score matching", "nce")
HERE = Path(__file__).resolve().parent
ROWS, PAGE = HERE / "auditors.json", HERE.parent / "docs" / "ideas" / "objective.md"
MASSES_PAGE = HERE.parent / "docs" / "which_training.md"


class TwoModes(AbstractEnergy):
    """-log(N(x; low, 1) + exp(logit) N(x; high, 1)), up to the log Z that the logit makes."""

    low: Array
    high: Array
    logit: Array

    def __call__(self, x, cond=None):
        apart = jnp.stack([jnp.sum((x - self.low) ** 2), jnp.sum((x - self.high) ** 2)])
        return -jnp.logaddexp(-0.5 * apart[0], self.logit - 0.5 * apart[1])


class Setting(NamedTuple):
    """A machine, its data, and how it is trained by stochastic gradients with walkers of block Gibbs."""

    title: str
    hidden: int
    spread: float
    rows: Callable[[], np.ndarray]
    batch: int | None
    rate: Callable[[Any], Any]
    walkers: int
    groups: int
    moves: int
    steps: int
    every: int


def pixels() -> np.ndarray:
    """The training part of the digits as bits."""
    train = load("digits").split(0.2, seed=0)[0]
    return (train.flat() > 0.0).astype(np.float32)


SETTINGS = {
    "bars": Setting(
        "9x6 on 3x3 bars and stripes", 6, 0.1, lambda: np.asarray(bars_and_stripes()), None, lambda step: 0.05,
        500, 10, 1, 6000, 200,
    ),
    "digits": Setting(
        "64x12 on 8x8 digits as bits", 12, 0.01, pixels, 256,
        optax.warmup_cosine_decay_schedule(1e-3, 0.15, 200, 2000, 5e-3), 512, 8, 2, 2000, 100,
    ),
    "more": Setting(
        "64x12 on 8x8 digits as bits, four times the walkers", 12, 0.01, pixels, 256,
        optax.warmup_cosine_decay_schedule(1e-3, 0.15, 200, 2000, 5e-3), 2048, 16, 2, 2000, 100,
    ),
}  # fmt: skip
REFRESHES = {
    "never refreshed": (None, 0),
    "copies drive at once": (100, 0),
    "copies move first": (100, 100),
    "copies move first, every 150": (150, 100),
}
"""(steps between two refreshes, moves of the copies before they drive)."""


def drift(key: Array, model: BernoulliRBM, rows: int = 2000) -> float:
    """tr Cov of the energy's gradient in all parameters under the model, by exact draws: what a step biases log Z by."""
    v = rbm_samples(key, model, rows)
    h = jax.nn.sigmoid(jax.vmap(model.hidden_given)(v))
    slopes = jnp.concatenate([(v[:, :, None] * h[:, None, :]).reshape(rows, -1), v, h], axis=1)
    return float(jnp.sum(jnp.var(slopes, axis=0)))


def machine(seed: int, name: str, refresh: int | None, apart: int) -> dict[str, Any]:
    """One run: log Z of both halves against enumeration every so many steps, and the drift that the theory predicts."""
    setting, key = SETTINGS[name], jax.random.key(seed)
    rows = jnp.asarray(setting.rows())
    visible = rows.shape[1]
    base = IndependentBits.of_data(rows) if setting.batch else IndependentBits(jnp.zeros(visible))
    weights = setting.spread * jax.random.normal(key, (visible, setting.hidden))
    rule = Jarzynski(
        BlockGibbs(), base, setting.walkers, num_steps=setting.moves, num_groups=setting.groups, refresh=refresh,
        refresh_moves=apart,
    )  # fmt: skip
    trainer = Trainer((Phase(rule, optax.sgd(setting.rate)),))
    start = BernoulliRBM(weights, base.logits, jnp.zeros(setting.hidden))
    state = trainer.init(jax.random.fold_in(key, 1), start, {"x": rows[: setting.batch]})
    stream = Batches({"x": np.asarray(rows)}, setting.batch or len(rows), seed)
    scores, errors, drive, predicted = [], [], [], [0.0]
    for step in range(0, setting.steps, setting.every):
        before, model = rbm_exact(state.model).log_z, state.model
        state, metrics = run_steps(trainer, state, stream.chunk(step, setting.every))
        if step:  # at step 0 weights are exact
            errors.append(float(metrics["log_z"][0]) - before)
            scores.append(errors[-1] / float(metrics["log_z_error"][0]))
            drive.append(errors[-1] + float(metrics["self_influence"][0]))
        rate = sum(float(setting.rate(s)) for s in range(step, step + setting.every))
        predicted.append(predicted[-1] - rate / setting.walkers * drift(jax.random.fold_in(key, 2 + step), model))
    mean = jax.jit(lambda model: jnp.mean(jax.vmap(model)(rows)))
    return {
        "checks": len(scores),
        "within 2": int(np.sum(np.abs(scores) < 2.0)),
        "audit error": errors[-1],
        "drive error": drive[-1],
        "drive predicted": predicted[-2],
        "log-likelihood": float(-mean(state.model)) - rbm_exact(state.model).log_z,
        "largest score": float(np.max(np.abs(scores))),
    }


def write_machines(rows: list[dict[str, Any]]) -> None:
    """The table of machines into the page on objectives."""
    lines = []
    for setting in SETTINGS.values():
        head = "| walkers | log Z by the drivers | predicted of never refreshed ones | log Z by the auditors | checks within 2 of its error bars | log-likelihood |"
        lines += [
            f"**{setting.title}**, {setting.steps:,} steps, {setting.walkers} + {setting.walkers} walkers:",
            "",
            head,
        ]
        lines.append("|---" * 6 + "|")
        for words in REFRESHES:
            found = [row for row in rows if row["run"] == f"machine, {setting.title}, {words}"]
            if not found:
                continue
            told = {k: np.array([row["figures"][k] for row in found]) for k in found[0]["figures"]}
            share = told["within 2"].sum() / told["checks"].sum()
            means = [_pm(told[k]) for k in ("drive error", "drive predicted", "audit error")]
            drivers, theory, auditors = means[0], means[1] if words == "never refreshed" else "", means[2]
            lines.append(
                f"| {words} ({len(found)} seeds) | {drivers} | {theory} | {auditors} | "
                f"{share:.1%} of {told['checks'].sum()} | {told['log-likelihood'].mean():.2f} |"
            )
        lines.append("")
    put(PAGE, "auditors", "\n".join(["", *lines]))


def write_masses(rows: list[dict[str, Any]]) -> None:
    """The masses that each rule learned into the page on training methods."""
    works = [(f"mixture {mass}", f"fifty dimensions, {mass}", MIXTURE_RULES) for mass in MASSES]
    works.append(("neural 0.75", "network in the plane, 0.75", NEURAL_RULES))
    lines = ["", "| problem and true mass | rule | learned mass, each seed | worst off by |", "|---|---|---|---|"]
    for work, title, rules in works:
        for rule in rules:
            found = [row["figures"]["mass"] for row in rows if row["run"] == f"{work}, {rule}"]
            if found:
                worst = max(abs(mass - float(work.split()[1])) for mass in found)
                lines.append(f"| {title} | {rule} | {', '.join(f'{mass:.3f}' for mass in found)} | {worst:.3f} |")
    put(MASSES_PAGE, "masses", "\n".join([*lines, ""]))


def _pm(values: np.ndarray) -> str:
    """Mean and its standard error over seeds."""
    return f"{values.mean():+.2f} ± {values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0:.2f}"


def mixture(seed: int, rule: str, mass: float, steps: int = 3000) -> dict[str, float]:
    """One run on two modes in 50 dimensions: SGD to 0.02 and back for all rules, 10,000 data, batches of 500."""
    rng = np.random.default_rng(seed)
    side = rng.random(10_000) < mass
    data = rng.normal(size=(10_000, DIM)).astype(np.float32)
    data[:, 0] += np.where(side, 6.0, -10.0)
    axis = np.eye(DIM, dtype=np.float32)[0]
    low, high = jnp.asarray(-axis), jnp.asarray(axis)
    base = GaussianMixture(jnp.log(jnp.array([0.5, 0.5])), jnp.stack([low, high]), jnp.ones((2, DIM)))
    rules = {
        "naive": lambda: Jarzynski(ULAPair(0.1), base, 2000, refresh=None),
        "held-out": lambda: Jarzynski(ULAPair(0.1), base, 2000, refresh=150),
        "held-out, MALA": lambda: Jarzynski(MALA(0.1), base, 2000, refresh=150),
        "held-out, MALA, four times the walkers": lambda: Jarzynski(MALA(0.1), base, 8000, refresh=150),
        "pcd": lambda: PersistentCD(MALA(0.1), 1, 2000, start=GeneratorStart(base)),
        "cd": lambda: ContrastiveDivergence(MALA(0.1), 1),
        "score matching": lambda: ScoreMatching(),
        "dsm": lambda: DenoisingScoreMatching(0.3),
        "nce": lambda: NoiseContrastive(noise, 4),
    }
    noise = Gaussian(jnp.asarray(data.mean(0)), jnp.asarray(data.std(0)))
    model: Any = TwoModes(low, high, jnp.zeros(()))
    model = normalised_by(noise)(model) if rule == "nce" else model
    # a slow start: the work that is dissipated while the model runs from its walkers is what makes log Z uncertain
    rate = optax.warmup_cosine_decay_schedule(0.002, 0.02, 400, steps, 0.002)
    trainer = Trainer((Phase(rules[rule](), optax.sgd(rate)),))
    state = trainer.init(jax.random.key(seed), model, {"x": jnp.asarray(data[:500])})
    last: dict = {}
    for _ in range(steps // 100):
        rows = rng.integers(0, len(data), (100, 500))
        state, metrics = run_steps(trainer, state, {"x": data[rows]})
        last = {name: float(value[-1]) for name, value in metrics.items()}
    found = state.model.energy if rule == "nce" else state.model
    truth = 0.5 * DIM * np.log(2 * np.pi) + np.log1p(np.exp(float(found.logit)))
    told = {"mass": float(jax.nn.sigmoid(found.logit)), "high": float(found.high[0]), "low": float(found.low[0])}
    if "self_influence" in last:
        told |= {"log Z error": last["log_z"] - truth, "self-influence": last["self_influence"]}
    return told


def neural(seed: int, rule: str, steps: int = 2500) -> dict[str, float]:
    """One run of a network in the plane: Adam 1e-3, batches of 256, 2,048 walkers a half."""
    problem = two_modes_plane.make(seed)
    kernel, base, walkers = problem.kernel, problem.base, 2048
    jarzynski, many = (
        partial(Jarzynski, kernel, base, num, num_steps=2, adapt_target=0.75) for num in (walkers, 4 * walkers)
    )
    rules = {
        "naive": lambda: jarzynski(refresh=None),
        "held-out": lambda: jarzynski(refresh=100, refresh_moves=20),
        "held-out, four times the walkers": lambda: many(refresh=100, refresh_moves=20),
        "pcd": lambda: PersistentCD(kernel, 5, walkers, adapt_target=0.75, start=GeneratorStart(base)),
        "cd": lambda: ContrastiveDivergence(kernel, 5, adapt_target=0.75),
        "dsm": lambda: DenoisingScoreMatching(problem.sigma),
        "score matching": lambda: ScoreMatching(),
        "nce": lambda: NoiseContrastive(problem.noise(), 4),
    }
    model = problem.model(jax.random.key(seed))
    wrapped = normalised_by(problem.noise())(model) if rule == "nce" else model
    rate = optax.warmup_cosine_decay_schedule(1e-4, 1e-3, 200, steps, 2e-5)
    adam = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
    trainer = Trainer((Phase(rules[rule](), adam),))
    state = trainer.init(jax.random.key(seed), wrapped, {"x": jnp.asarray(problem.train[:256])})
    rng = np.random.default_rng(seed)
    for _ in range(steps // 100):
        rows = rng.integers(0, len(problem.train), (100, 256))
        state, _ = run_steps(trainer, state, {"x": problem.train[rows]})
    seen = problem.look(state.ema, seed)
    return {"mass": float(seen.masses[1][1]), "kl": float(seen.kl)}


def main() -> None:
    """Prints one line a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("machine", "mixture", "neural", "none"))
    parser.add_argument("--write", action="store_true", help="refresh docs/ideas/objective.md")
    parser.add_argument("--rules", default="", help="runs whose title holds these words")
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    works = {}
    for name, setting in SETTINGS.items():
        for words, (refresh, apart) in REFRESHES.items():
            works[f"machine, {setting.title}, {words}"] = partial(machine, name=name, refresh=refresh, apart=apart)
    for mass in MASSES:
        for rule in MIXTURE_RULES:
            works[f"mixture {mass}, {rule}"] = partial(mixture, rule=rule, mass=mass)
    for rule in NEURAL_RULES:
        works[f"neural 0.75, {rule}"] = partial(neural, rule=rule)
    kept = json.loads(ROWS.read_text()) if ROWS.is_file() else []
    for title, work in works.items():
        if not title.startswith(given.only or "") or given.rules not in title:
            continue
        found = []
        for seed in range(given.seeds):
            known = [row["figures"] for row in kept if (row["run"], row["seed"]) == (title, seed)]
            found.append(known[0] if known else show(f"{title}, seed {seed}", work, seed))
            if not known:
                kept.append({"run": title, "seed": seed, "figures": found[-1]})
                ROWS.write_text("[\n" + ",\n".join(json.dumps(row) for row in kept) + "\n]\n")
        if "mass" in found[0]:
            masses, truth = np.array([each["mass"] for each in found]), float(title.split()[1].rstrip(","))
            worst = np.max(np.abs(masses - truth))
            print(f"{title}: mass {masses.mean():.3f}, worst off by {worst:.3f}, over {len(masses)} seeds", flush=True)
    if given.write:
        write_machines(kept)
        write_masses(kept)


def show(title: str, run, seed: int) -> dict[str, float]:
    """One run's figures, told with its CPU seconds."""
    start = time.process_time()
    figures = run(seed)
    text = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
    print(f"{title}: {text}; {time.process_time() - start:.0f} CPU-s", flush=True)
    return figures


if __name__ == "__main__":
    main()
