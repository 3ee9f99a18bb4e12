"""What auditors and refresh are worth: log Z along training against enumeration, and a mass in 50 dimensions.

    python benchmarks/jarzynski.py --only machine       a 9x6 machine on 3x3 bars and stripes, log Z enumerated
    python benchmarks/jarzynski.py --only mixture       modes at -10 and 6 on one axis of 50, masses .2/.8 and .25/.75
    python benchmarks/jarzynski.py --only neural        a network in the plane, modes 12 sigma apart, masses .25 and .75
    python benchmarks/jarzynski.py --seeds 5

`machine`: every 200 steps log Z of the auditors is held against enumeration; told are how many checks lie within 2 of its
own error bars, and the errors of both halves at the end. `mixture`: the mass of the mode at 6 that the model learned, read
off its parameters. `neural`: the mass of the mode at the right, by quadrature. Means over seeds and the worst come last.
"""

import argparse
import os
import time
from functools import partial

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from energax.audit.method import normalised_by
from energax.audit.problems import two_modes_plane
from energax.core import AbstractEnergy
from energax.energies import BernoulliRBM, GaussianMixture, IndependentBits, bars_and_stripes, rbm_exact
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


class TwoModes(AbstractEnergy):
    """-log(N(x; low, 1) + exp(logit) N(x; high, 1)), up to the log Z that the logit makes."""

    low: Array
    high: Array
    logit: Array

    def __call__(self, x, cond=None):
        apart = jnp.stack([jnp.sum((x - self.low) ** 2), jnp.sum((x - self.high) ** 2)])
        return -jnp.logaddexp(-0.5 * apart[0], self.logit - 0.5 * apart[1])


def machine(seed: int, refresh: int | None, apart: int = 0, steps: int = 6000, every: int = 200) -> dict[str, float]:
    """One run on bars and stripes: SGD 0.05, 500 + 500 walkers, one block Gibbs step."""
    key = jax.random.key(seed)
    patterns = bars_and_stripes()
    model = BernoulliRBM(0.1 * jax.random.normal(key, (9, 6)), jnp.zeros(9), jnp.zeros(6))
    rule = Jarzynski(
        BlockGibbs(), IndependentBits(jnp.zeros(9)), 500, num_groups=10, refresh=refresh, refresh_moves=apart
    )
    trainer = Trainer((Phase(rule, optax.sgd(0.05)),))
    batch = {"x": patterns}
    state = trainer.init(jax.random.fold_in(key, 1), model, batch)
    chunk = {"x": jnp.broadcast_to(patterns, (every, *patterns.shape))}
    scores, errors, drive = [], [], []
    for _ in range(steps // every):
        before = rbm_exact(state.model).log_z
        state, metrics = run_steps(trainer, state, chunk)
        if scores or errors or int(state.step) > every:  # the first chunk begins with exact weights
            errors.append(float(metrics["log_z"][0]) - before)
            scores.append(errors[-1] / float(metrics["log_z_error"][0]))
            drive.append(errors[-1] + float(metrics["self_influence"][0]))
    exact = rbm_exact(state.model)
    likelihood = float(-jnp.mean(jax.vmap(state.model)(patterns)) - exact.log_z)
    within = float(np.mean(np.abs(scores) < 2.0))
    return {
        "checks within 2": within,
        "audit error": errors[-1],
        "drive error": drive[-1],
        "log-likelihood": likelihood,
        "largest score": float(np.max(np.abs(scores))),
    }


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
        "pcd": lambda: PersistentCD(MALA(0.1), 1, 2000, start=GeneratorStart(base)),
        "cd": lambda: ContrastiveDivergence(MALA(0.1), 1),
        "score matching": lambda: ScoreMatching(),
    }
    model = TwoModes(low, high, jnp.zeros(()))
    # a slow start: the work that is dissipated while the model runs from its walkers is what makes log Z uncertain
    rate = optax.warmup_cosine_decay_schedule(0.002, 0.02, 400, steps, 0.002)
    trainer = Trainer((Phase(rules[rule](), optax.sgd(rate)),))
    state = trainer.init(jax.random.key(seed), model, {"x": jnp.asarray(data[:500])})
    last: dict = {}
    for _ in range(steps // 100):
        rows = rng.integers(0, len(data), (100, 500))
        state, metrics = run_steps(trainer, state, {"x": data[rows]})
        last = {name: float(value[-1]) for name, value in metrics.items()}
    learned = float(jax.nn.sigmoid(state.model.logit))
    truth = 0.5 * DIM * np.log(2 * np.pi) + np.log1p(np.exp(float(state.model.logit)))
    told = {"mass": learned, "high": float(state.model.high[0]), "low": float(state.model.low[0])}
    if "log_z" in last:
        told |= {"log Z error": last["log_z"] - truth, "self-influence": last["self_influence"]}
    return told


def neural(seed: int, rule: str, steps: int = 2500) -> dict[str, float]:
    """One run of a network in the plane: Adam 1e-3, batches of 256, 2,048 walkers a half."""
    problem = two_modes_plane.make(seed)
    kernel, base, walkers = problem.kernel, problem.base, 2048
    jarzynski = partial(Jarzynski, kernel, base, walkers, num_steps=2, adapt_target=0.75)
    rules = {
        "naive": lambda: jarzynski(refresh=None),
        "held-out": lambda: jarzynski(refresh=100, refresh_moves=20),
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("machine", "mixture", "neural"))
    parser.add_argument("--rules", default="", help="runs whose title holds these words")
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    works = {}
    for refresh, apart in ((None, 0), (100, 0), (100, 20), (100, 100)):
        works[f"machine, refresh {refresh}, {apart} moves"] = partial(machine, refresh=refresh, apart=apart)
    for mass in MASSES:
        for rule in ("naive", "held-out, MALA", "pcd", "cd", "score matching"):
            works[f"mixture {mass}, {rule}"] = partial(mixture, rule=rule, mass=mass)
    for rule in ("naive", "held-out", "pcd", "cd", "dsm", "score matching", "nce"):
        works[f"neural 0.75, {rule}"] = partial(neural, rule=rule)
    for title, work in works.items():
        if title.startswith(given.only or "") and given.rules in title:
            found = [show(f"{title}, seed {seed}", work, seed) for seed in range(given.seeds)]
            if "mass" in found[0]:
                masses, truth = np.array([each["mass"] for each in found]), float(title.split()[1].rstrip(","))
                worst = np.max(np.abs(masses - truth))
                print(
                    f"{title}: mass {masses.mean():.3f}, worst off by {worst:.3f}, over {len(masses)} seeds", flush=True
                )


def show(title: str, run, seed: int) -> dict[str, float]:
    """One run's figures, told with its CPU seconds."""
    start = time.process_time()
    figures = run(seed)
    text = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
    print(f"{title}: {text}; {time.process_time() - start:.0f} CPU-s", flush=True)
    return figures


if __name__ == "__main__":
    main()
