"""One training step on one CPU thread: CD-20, PCD and denoising on an MLP 2x128, and what the guard costs; JSON lines.

    python benchmarks/bench_training.py                                   energax alone
    python benchmarks/bench_training.py --peer path/to/torch/env/python   in turns with torchebm and ebmkit, then ratios

A step is measured inside a scan of 5, as the loop runs it. Seconds are wall, the minimum over all repeats of all
rounds: on a busy machine short repeats still find quiet moments; `cpu_seconds` is the process's, likewise.
BENCH_THREADS (1) sets the threads.
"""

import argparse
import json
import os
import subprocess
import time
from pathlib import Path

threads = os.environ.setdefault("BENCH_THREADS", "1")
os.environ["OMP_NUM_THREADS"] = threads
os.environ["JAX_PLATFORMS"] = "cpu"
if threads == "1":
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import equinox as eqx  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import optax  # noqa: E402

from energax.energies import NetworkEnergy  # noqa: E402
from energax.networks import MLP  # noqa: E402
from energax.objectives import ContrastiveDivergence, DenoisingScoreMatching, PersistentCD  # noqa: E402
from energax.samplers import MALA, ULA  # noqa: E402
from energax.training import Phase, Trainer, scan_steps, trainer as trainer_module  # noqa: E402

TURNS = 5
WORKS = {
    "cd20_step_mlp128_b256": (ContrastiveDivergence(ULA(1e-2), 20), 256),
    "cd20_step_mlp128_b32": (ContrastiveDivergence(ULA(1e-2), 20), 32),
    "pcd5_mala_step_mlp128_b256": (PersistentCD(MALA(1e-2), 5, 256, adapt_target=0.75), 256),
    "dsm_step_mlp128_b256": (DenoisingScoreMatching(0.1), 256),
}
BARS = {"cd20_step_mlp128_b256": 1.4, "cd20_step_mlp128_b32": 3.0}
"""Times as fast as the faster peer, where both have the work."""


def turns(objective, batch):
    """A call that trains TURNS steps on from where the last one stopped."""
    trainer = Trainer((Phase(objective, optax.adam(1e-4), lambda energy: energy.net),))
    energy = NetworkEnergy(MLP(2, 128, 2, zero_last=False, key=jax.random.key(0)))
    chunk = {"x": jax.random.normal(jax.random.key(1), (TURNS, batch, 2))}
    held = [trainer.init(jax.random.key(2), energy, {"x": chunk["x"][0]})]

    run = eqx.filter_jit(lambda state, chunk: scan_steps(trainer, state, chunk))  # its own: `unguarded` patches it

    def call():
        held[0], _ = run(held[0], chunk)
        jax.block_until_ready(held[0])

    call()
    return call


def unguarded(objective, batch):
    """The same step with nothing looked at and nothing held back: what the guard is measured against."""
    looked, held_back = trainer_module.guard.first_bad, trainer_module.select
    trainer_module.guard.first_bad = lambda batch, turn, offset: jnp.int32(0)
    trainer_module.select = lambda good, new, old: new
    call = turns(objective, batch)
    trainer_module.guard.first_bad, trainer_module.select = looked, held_back
    return call


def measure(calls: dict, repeats: int, best: dict) -> None:
    """Runs all calls in turns, so that a busy moment hits all of them, and keeps the least time of each."""
    for _ in range(repeats):
        for name, call in calls.items():
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            spent = ((time.perf_counter() - wall) / TURNS, (time.process_time() - cpu) / TURNS)
            best[name] = tuple(min(a, b) for a, b in zip(best.get(name, spent), spent, strict=True))


def main() -> None:
    """Prints the rows, and the ratios where there is a peer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="the Python of an environment with torch, torchebm and ebmkit")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=20)
    given = parser.parse_args()
    calls = {f"{name} unguarded": unguarded(*work) for name, work in WORKS.items()}
    calls |= {name: turns(*work) for name, work in WORKS.items()}
    best: dict[str, tuple[float, float]] = {}
    peers: dict[tuple[str, str], tuple[float, float]] = {}
    for _ in range(given.rounds):
        measure(calls, given.repeats, best)
        if given.peer:
            script = Path(__file__).parent / "peers" / "bench_cd_torch.py"
            said = subprocess.run(
                [given.peer, str(script), str(given.repeats)], capture_output=True, text=True, check=True
            )
            for row in map(json.loads, said.stdout.splitlines()):
                spent = (row["seconds"], row["cpu_seconds"])
                which = row["work"], row["peer"]
                peers[which] = tuple(map(min, spent, peers.get(which, spent)))
                print(json.dumps(row), flush=True)
    for name, (wall, cpu) in best.items():
        row = {"peer": "energax", "work": name, "seconds": wall, "cpu_seconds": cpu, "load": os.getloadavg()[0]}
        print(json.dumps(row), flush=True)
    for name in WORKS:
        cost = best[name][0] / best[f"{name} unguarded"][0] - 1.0
        print(json.dumps({"work": name, "guard_share_of_step": round(cost, 4)}))
    for name, bar in BARS.items() if peers else ():
        wall, cpu = best[name]
        theirs = {peer: spent for (work, peer), spent in peers.items() if work == name}
        ratios = {
            "wall": {peer: round(w / wall, 3) for peer, (w, _) in theirs.items()},
            "cpu": {peer: round(c / cpu, 3) for peer, (_, c) in theirs.items()},
        }
        print(json.dumps({"work": name, "times_faster_than": ratios, "bar": bar}))


if __name__ == "__main__":
    main()
