"""A restricted Boltzmann machine by PCD-1: seconds to a held-out likelihood, beside rbms and scikit-learn; JSON lines.

    python benchmarks/bench_rbm_training.py --peer path/to/env/python     in turns with rbms and scikit-learn, then ratios

Bits of the 8 x 8 digits, 64 x 16 units, and of the 5,000 MNIST digits, 784 x 16 units: sixteen, so that log Z is the sum
over all hidden states and no estimate is compared. All programs start at the same small weights and the base rates, walk
as many chains as a batch has rows, one sweep an update, and follow the plain mean gradient at one rate. The likelihood is
taken at every snapshot, outside of the clock; the target is the worst of the programs' best. CPU seconds on one thread, the
least over rounds; energax is compiled before the clock starts, and `compile_cpu_seconds` says what that takes.
The peers' environment holds torch, rbms and scikit-learn.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from energax.data import load
from energax.energies import BernoulliRBM, rbm_exact
from energax.evaluation import energy_values
from energax.objectives import PersistentCD
from energax.samplers import BlockGibbs
from energax.training import Phase, Trainer, scan_steps

HIDDEN, BATCH, RATE, EVERY, CALL = 16, 64, 0.05, 250, 25
WORKS = {"digits": ("digits", 32), "mnist5k": ("mnist5k", 16)}
"""Data set, and how many snapshots of EVERY updates each; a call of energax takes CALL of them."""


def problem(name: str) -> dict[str, np.ndarray]:
    """Bits to learn and to hold out, and where every program starts."""
    parts = load(name, layout="flat").split(0.2, seed=0)
    train, heldout = (np.asarray(part.x > part.low + 0.5 * (part.high - part.low), np.float32) for part in parts)
    rates = np.clip(train.mean(0), 0.02, 0.98)
    weights = 0.01 * np.random.default_rng(0).standard_normal((train.shape[1], HIDDEN))
    return {
        "train": train,
        "heldout": heldout,
        "w": weights.astype(np.float32),
        "b": np.log(rates / (1.0 - rates)).astype(np.float32),
    }


def energax_run(parts: dict[str, np.ndarray], blocks: int):
    """-> (machines after each block, CPU seconds until then, CPU seconds of compiling)."""
    machine = BernoulliRBM(jnp.asarray(parts["w"]), jnp.asarray(parts["b"]), jnp.zeros(HIDDEN))
    trainer = Trainer((Phase(PersistentCD(BlockGibbs(), 1, BATCH), optax.sgd(RATE)),))
    rng = np.random.default_rng(1)

    def batches():
        return {"x": jnp.asarray(parts["train"][rng.integers(0, len(parts["train"]), (CALL, BATCH))])}

    state = trainer.init(jax.random.key(0), machine, {"x": jnp.asarray(parts["train"][:BATCH])})
    run = eqx.filter_jit(lambda state, chunk: scan_steps(trainer, state, chunk))
    began = time.process_time()
    run = run.lower(state, batches()).compile()
    compiled = time.process_time() - began
    found, spent, total = [], [], 0.0
    for _ in range(blocks):
        began = time.process_time()
        for _ in range(EVERY // CALL):
            state, _ = run(state, batches())
        jax.block_until_ready(state)
        total += time.process_time() - began
        spent.append(total)
        found.append(state.model)
    return found, spent, compiled


def nll(machine: BernoulliRBM, heldout: np.ndarray) -> float:
    """Mean of -log p over held-out rows, nats, exact."""
    return float(np.mean(energy_values(machine, heldout))) + rbm_exact(machine).log_z


def peers(python: str, parts: dict[str, np.ndarray], blocks: int) -> dict[str, tuple]:
    """The same of each peer, from its script."""
    script, numbers = Path(__file__).parent / "peers" / "bench_rbm_training_peers.py", (blocks, EVERY, BATCH, RATE)
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/problem.npz", **parts)
        subprocess.run([python, str(script), folder, *map(str, numbers)], check=True)
        found = {}
        for path in Path(folder).glob("run-*.npz"):
            with np.load(path) as got:
                machines = [
                    BernoulliRBM(*map(jnp.asarray, each)) for each in zip(got["w"], got["b"], got["c"], strict=True)
                ]
                found[path.stem[4:]] = (machines, got["seconds"].tolist(), 0.0)
    return found


def main() -> None:
    """Prints a row a program and work, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="the Python of an environment with torch, rbms and scikit-learn")
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    for work, (name, blocks) in WORKS.items():
        parts = problem(name)
        runs: dict[str, tuple] = {}
        for _ in range(given.rounds):
            for peer, (machines, seconds, compiled) in {
                "energax": energax_run(parts, blocks),
                **peers(given.peer, parts, blocks),
            }.items():
                before = runs.get(peer, (machines, seconds, compiled))
                runs[peer] = (machines, np.minimum(seconds, before[1]), min(compiled, before[2]))
        curves = {peer: [nll(each, parts["heldout"]) for each in machines] for peer, (machines, _, _) in runs.items()}
        target = max(min(curve) for curve in curves.values())
        for peer, curve in curves.items():
            first = next(i for i, value in enumerate(curve) if value <= target)
            row = {"peer": peer, "work": work, "target": round(target, 3), "updates": (first + 1) * EVERY}
            row |= {"cpu_seconds": float(runs[peer][1][first]), "best": round(min(curve), 3)}
            row |= {"updates_a_cpu_second": round(EVERY * blocks / float(runs[peer][1][-1]))}
            print(json.dumps(row | {"compile_cpu_seconds": round(runs[peer][2], 2)}), flush=True)


if __name__ == "__main__":
    main()
