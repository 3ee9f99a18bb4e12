"""Three classes of digits in shares 4 : 2 : 1: what weighted walkers, plain walkers and the learned machine say of the shares.

    python benchmarks/shares.py --seeds 5           every run that is not there yet
    python benchmarks/shares.py --seeds 0 --write   the table of docs/ideas/objective.md from what there is

A restricted Boltzmann machine of 64 and 16 units on 8x8 digits 2, 3 and 6 as bits, drawn in shares 4 : 2 : 1: the classes and the
shares of Carbone et al. (2023), arXiv:2305.19414, who take grey digits of 28x28 pixels and a network. Walkers are born from the
base rates. A draw's class is what a logistic regression on the bits of all images of the three classes says; the learned shares
are those of 10,000 exact draws of the machine. Runs are kept in benchmarks/shares.json.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax
import jax.numpy as jnp
import numpy as np
import optax
from results import put
from sklearn.linear_model import LogisticRegression

from energax.data import load
from energax.energies import BernoulliRBM, IndependentBits, rbm_exact, rbm_samples
from energax.objectives import ContrastiveDivergence, GeneratorStart, Jarzynski, PersistentCD
from energax.samplers import BlockGibbs
from energax.training import Phase, Trainer, run_steps

HERE = Path(__file__).resolve().parent
ROWS, PAGE = HERE / "shares.json", HERE.parent / "docs" / "ideas" / "objective.md"
CLASSES, SHARES = (2, 3, 6), np.array([4.0, 2.0, 1.0]) / 7.0
HIDDEN, WALKERS, STEPS, CHUNK, BATCH = 16, 1024, 4000, 100, 256


def images() -> tuple[np.ndarray, np.ndarray]:
    """All images of the three classes as bits, and their classes."""
    digits = load("digits", classes=CLASSES)
    return (digits.flat() > 0.0).astype(np.float32), digits.y


def shares_of(judge: LogisticRegression, rows: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The shares of the classes among rows of bits, weighted if they carry weights."""
    found = judge.predict(rows)
    return np.array([np.average(found == name, weights=weights) for name in CLASSES])


def run(seed: int, rule: str) -> dict[str, Any]:
    """One training: the largest error of a share, of exact draws, of the walkers, and of the walkers by their weights."""
    x, y = images()
    judge = LogisticRegression(C=1.0, max_iter=2000).fit(x, y)
    rng = np.random.default_rng(seed)
    chances = np.zeros(len(x))
    for name, share in zip(CLASSES, SHARES, strict=True):
        chances[y == name] = share / np.sum(y == name)
    base = IndependentBits.of_data(jnp.asarray(x[rng.choice(len(x), 2000, p=chances)]))
    rules = {
        "jarzynski": lambda: Jarzynski(BlockGibbs(), base, WALKERS, num_steps=2, refresh=100, refresh_moves=50),
        "pcd": lambda: PersistentCD(BlockGibbs(), 2, WALKERS, start=GeneratorStart(base)),
        "cd": lambda: ContrastiveDivergence(BlockGibbs(), 2),
    }
    rate = optax.warmup_cosine_decay_schedule(1e-3, 0.1, 400, STEPS, 5e-3)
    trainer = Trainer((Phase(rules[rule](), optax.sgd(rate)),))
    key = jax.random.key(seed)
    start = BernoulliRBM(0.01 * jax.random.normal(key, (64, HIDDEN)), base.logits, jnp.zeros(HIDDEN))
    state = trainer.init(jax.random.fold_in(key, 1), start, {"x": jnp.asarray(x[:BATCH])})
    for _ in range(STEPS // CHUNK):
        rows = rng.choice(len(x), (CHUNK, BATCH), p=chances)
        state, metrics = run_steps(trainer, state, {"x": x[rows]})
    exact = np.asarray(rbm_samples(jax.random.fold_in(key, 2), state.model, 10_000))
    told: dict[str, Any] = {"learned": shares_of(judge, exact).tolist()}
    if rule == "jarzynski":
        held = state.objectives[0].walkers.states
        x_held, logs = (np.asarray(leaf)[WALKERS:] for leaf in (held.x, held.log_weights))
        told["walkers"] = shares_of(judge, x_held, np.exp(logs - logs.max())).tolist()
        told["log Z error"] = float(metrics["log_z"][-1]) - rbm_exact(state.model).log_z
        told["log Z bar"] = float(metrics["log_z_error"][-1])
    elif rule == "pcd":
        told["walkers"] = shares_of(judge, np.asarray(state.objectives[0].buffer.samples.states)).tolist()
    told["nll"] = (
        float(np.sum(chances * np.asarray(jax.vmap(state.model)(jnp.asarray(x))))) + rbm_exact(state.model).log_z
    )
    told["judge"] = float(judge.score(x, y))
    return told


def write(rows: list[dict[str, Any]]) -> None:
    """The table into the page on objectives."""
    lines = ["| rule | learned shares | off by, worst seed | shares of its walkers | off by, worst seed | NLL |"]
    lines.append("|---" * 6 + "|")
    for rule in ("jarzynski", "pcd", "cd"):
        found = [row["figures"] for row in rows if row["rule"] == rule]
        if not found:
            continue
        cells = [f"`{rule}` ({len(found)} seeds)"]
        for what in ("learned", "walkers"):
            values = np.array([each[what] for each in found if what in each])
            if not len(values):
                cells += ["", ""]
                continue
            cells.append(" : ".join(f"{v:.3f}" for v in values.mean(axis=0)))
            cells.append(f"{np.abs(values - SHARES).max():.3f}")
        lines.append("| " + " | ".join([*cells, f"{np.mean([each['nll'] for each in found]):.2f}"]) + " |")
    put(PAGE, "shares", "\n".join(["", *lines, ""]))


def main() -> None:
    """Runs what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rules", nargs="*", default=["jarzynski", "pcd", "cd"])
    parser.add_argument("--write", action="store_true", help="refresh docs/ideas/objective.md")
    given = parser.parse_args()
    kept = json.loads(ROWS.read_text()) if ROWS.is_file() else []
    for seed in range(given.seeds):
        for rule in given.rules:
            if any((row["seed"], row["rule"]) == (seed, rule) for row in kept):
                continue
            began = time.process_time()
            figures = run(seed, rule)
            print(f"seed {seed}, {rule}: {figures}; {time.process_time() - began:.0f} CPU-s", flush=True)
            kept.append({"seed": seed, "rule": rule, "figures": figures})
            ROWS.write_text("[\n" + ",\n".join(json.dumps(row) for row in kept) + "\n]\n")
    if given.write:
        write(kept)


if __name__ == "__main__":
    main()
