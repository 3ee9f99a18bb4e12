"""What auditors and refresh are worth: log Z along training against enumeration, and a mass in 50 dimensions.

    python benchmarks/jarzynski.py --only machine       a 9x6 machine on 3x3 bars and stripes, log Z enumerated
    python benchmarks/jarzynski.py --only mixture       modes at -10 and 6 on one axis of 50, masses .2 and .8
    python benchmarks/jarzynski.py --seeds 5

`machine`: every 200 steps log Z of the auditors is held against enumeration; told are how many checks lie within 2 of its
own error bars, and the errors of both halves at the end. `mixture`: the mass of the mode at 6 that the model learned, read
off its parameters; the walkers' own share beside it.
"""

import argparse
import os
import time

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from energax.core import AbstractEnergy
from energax.energies import BernoulliRBM, GaussianMixture, IndependentBits, bars_and_stripes, rbm_exact
from energax.objectives import ContrastiveDivergence, GeneratorStart, Jarzynski, PersistentCD, ScoreMatching
from energax.samplers import MALA, BlockGibbs, ULAPair
from energax.training import Phase, Trainer, run_steps

DIM, MASS = 50, 0.8


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


def mixture(seed: int, rule: str, steps: int = 3000) -> dict[str, float]:
    """One run on two modes in 50 dimensions: SGD 0.02 (score matching, CD and PCD as well), 10,000 data, batches of 500."""
    rng = np.random.default_rng(seed)
    side = rng.random(10_000) < MASS
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
    trainer = Trainer((Phase(rules[rule](), optax.sgd(0.02)),))
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


def main() -> None:
    """Prints one line a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("machine", "mixture"))
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    for seed in range(given.seeds):
        if given.only in (None, "machine"):
            for refresh, apart in ((None, 0), (100, 0), (100, 20), (100, 100)):
                show(f"machine, refresh {refresh}, {apart} moves, seed {seed}", machine, seed, refresh, apart)
        if given.only in (None, "mixture"):
            for rule in ("naive", "held-out", "held-out, MALA", "pcd", "cd", "score matching"):
                show(f"mixture, {rule}, seed {seed}", mixture, seed, rule)


def show(title: str, run, *words) -> None:
    """One run's figures and its CPU seconds."""
    start = time.process_time()
    figures = run(*words)
    text = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
    print(f"{title}: {text}; {time.process_time() - start:.0f} CPU-s", flush=True)


if __name__ == "__main__":
    main()
