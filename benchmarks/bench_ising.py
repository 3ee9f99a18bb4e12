"""Heat-bath sweeps of a 64 x 64 Ising torus a CPU second, one lattice and 64, on one CPU thread; JSON lines.

    python benchmarks/bench_ising.py                             energax, and a NumPy checkerboard
    python benchmarks/bench_ising.py --peer path/to/env/python   in turns with numba, thrml and hamon, then ratios

beta = 0.3, where a run of this length settles: every program sweeps checkerboard fashion and measures the mean energy of
its last half, to show that it samples the right law. CPU seconds are the least over all repeats of all rounds, compilation excluded
(`first_call_seconds`). The peers' environment holds jax, numba, thrml and hamon.
"""

import argparse
import json
import os
import subprocess
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
import numpy as np

from energax.energies import ising_torus
from energax.samplers import multispin

SIZE, BETA = 64, 0.3
SWEEPS = {1: 4000, 64: 400}
NUMPY_SWEEPS = 200


def multispin_call(lattices: int):
    """-> a call that sweeps and returns energies a spin over J of the last half."""

    def call() -> float:
        found = multispin(
            jax.random.key(0),
            (SIZE, SIZE),
            BETA,
            num_sweeps=SWEEPS[lattices] // 2,
            burn_in=SWEEPS[lattices] // 2,
            thin=10,
            num_lattices=lattices,
        )
        return float(np.mean(found.energy)) / BETA / SIZE**2

    return call


def numpy_call(lattices: int):
    """The usual checkerboard of arrays: the whole lattice is updated, half of it kept."""
    rng = np.random.default_rng(0)
    parity = np.add.outer(np.arange(SIZE), np.arange(SIZE)) % 2 == 1
    odds = 1 / (1 + np.exp(-2 * BETA * np.arange(-4, 5)))

    def call() -> float:
        x, energies = np.ones((lattices, SIZE, SIZE), np.int8), []
        for _ in range(max(NUMPY_SWEEPS // lattices, 40)):
            for mask in (parity, ~parity):
                near = np.roll(x, 1, 1) + np.roll(x, -1, 1) + np.roll(x, 1, 2) + np.roll(x, -1, 2)
                new = np.where(rng.random(x.shape, dtype=np.float32) < odds[near + 4], 1, -1).astype(np.int8)
                x = np.where(mask, new, x)
            energies.append(-np.mean(x * (np.roll(x, 1, 1) + np.roll(x, 1, 2))))
        return float(np.mean(energies[len(energies) // 2 :]))

    return call, max(NUMPY_SWEEPS // lattices, 40)


def main() -> None:
    """Prints the rows, and the ratios to the peers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="the Python of an environment with jax, numba, thrml and hamon")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    calls, sweeps, rows = {}, {}, {}
    for lattices in SWEEPS:
        calls["energax", lattices], sweeps["energax", lattices] = multispin_call(lattices), SWEEPS[lattices]
        calls["numpy", lattices], sweeps["numpy", lattices] = numpy_call(lattices)
    for (peer, lattices), call in calls.items():
        since = time.perf_counter()
        energy = call()
        rows[peer, lattices] = {
            "peer": peer, "lattices": lattices, "sweeps": sweeps[peer, lattices], "energy": round(energy, 4),
            "first_call_seconds": round(time.perf_counter() - since, 2), "cpu_seconds": float("inf"),
        }  # fmt: skip
    for _ in range(given.rounds):
        for label, call in [pair for pair in calls.items() for _ in range(3)]:
            cpu = time.process_time()
            call()
            rows[label]["cpu_seconds"] = min(rows[label]["cpu_seconds"], time.process_time() - cpu)
        if given.peer:
            script = Path(__file__).parent / "peers" / "bench_ising_peers.py"
            said = subprocess.run([given.peer, str(script)], capture_output=True, text=True, check=True)
            for row in map(json.loads, (line for line in said.stdout.splitlines() if line.startswith("{"))):
                label = (row["peer"], row["lattices"])
                if label not in rows or row["cpu_seconds"] < rows[label]["cpu_seconds"]:
                    rows[label] = row
    for (_, lattices), row in rows.items():
        row["updates_per_cpu_s"] = round(row["sweeps"] * lattices * SIZE**2 / row["cpu_seconds"])
        print(json.dumps(row), flush=True)
    for lattices in SWEEPS:
        ours = rows["energax", lattices]["updates_per_cpu_s"]
        ratios = {peer: round(ours / row["updates_per_cpu_s"], 2) for (peer, n), row in rows.items() if n == lattices}
        print(json.dumps({"lattices": lattices, "times_faster_than": ratios}))
    exact = ising_torus(SIZE, SIZE, BETA).energy / BETA
    print(json.dumps({"exact_energy": round(exact, 4), "load": round(os.getloadavg()[0], 1)}))


if __name__ == "__main__":
    main()
