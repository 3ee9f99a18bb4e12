"""Block Gibbs of a restricted Boltzmann machine of 784 x 500 bits, 512 chains, and AIS of it; one CPU thread; JSON lines.

    python benchmarks/bench_rbm.py                             energax
    python benchmarks/bench_rbm.py --peer path/to/env/python   in turns with PyTorch and rbms, then ratios

Float32, the same machine in every program (random weights of 0.1, so that the hidden inputs spread by 1.4). `gibbs` is
200 sweeps of all chains from the bits of the visible bias, and its value the mean free energy they reach; `ais` is 1,000
temperatures from those bits, and its value log Z. One sweep of one chain draws 500 hidden and 784 visible bits. Seconds are
the least over repeats, compilation excluded; `first_call_cpu_seconds` are those of the first call, compilation included. CPU
seconds on one thread are the wall seconds of a machine that does nothing else; wall seconds hold whatever else it does.
The peers' environment holds torch and rbms.
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

import jax
import numpy as np

from energax.energies import BernoulliRBM, IndependentBits, RBMPath
from energax.free_energy import ais
from energax.numerics import chain_keys
from energax.samplers import BlockGibbs, advance, init_chains

VISIBLE, HIDDEN, CHAINS, SWEEPS, TEMPERATURES = 784, 500, 512, 200, 1000


def machine() -> dict[str, np.ndarray]:
    """Weights and biases, float32."""
    rng = np.random.default_rng(0)
    sizes = {"w": (0.1, (VISIBLE, HIDDEN)), "b": (1.0, VISIBLE), "c": (0.5, HIDDEN)}
    return {name: rng.normal(0.0, scale, shape).astype(np.float32) for name, (scale, shape) in sizes.items()}


def calls(temperatures: int) -> dict:
    """-> the two works as calls that return their value."""
    parts = machine()
    rbm = BernoulliRBM(parts["w"], parts["b"], parts["c"])
    base, kernel = IndependentBits(rbm.visible_bias), BlockGibbs()
    starts = jax.jit(jax.vmap(base.sample))
    free_energy = jax.jit(jax.vmap(rbm))

    def gibbs() -> float:
        chains = init_chains(kernel, rbm, starts(chain_keys(jax.random.key(0), CHAINS)))
        chains, _ = advance(jax.random.key(1), kernel, rbm, chains, SWEEPS)
        return float(np.mean(free_energy(chains.states.x)))

    def annealed() -> float:
        options = {"num_chains": CHAINS, "num_temperatures": temperatures, "schedule": "linear", "pilot_chains": 0}
        return float(ais(jax.random.key(0), RBMPath(base, rbm), kernel, **options).log_z)

    return {("energax", "gibbs"): gibbs, ("energax", "ais"): annealed}


def main() -> None:
    """Prints the rows, and the ratios to the peers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="the Python of an environment with torch and rbms")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--temperatures", type=int, default=TEMPERATURES)
    given = parser.parse_args()
    rows: dict[tuple[str, str], dict] = {}
    ours = calls(given.temperatures)
    for (peer, work), call in ours.items():
        cpu = time.process_time()
        value = round(call(), 2)
        rows[peer, work] = {
            "peer": peer, "work": work, "value": value, "first_call_cpu_seconds": round(time.process_time() - cpu, 2),
            "cpu_seconds": float("inf"), "wall_seconds": float("inf"),
        }  # fmt: skip
    for _ in range(given.rounds):
        for label, call in ours.items():
            for _ in range(3 if label[1] == "gibbs" else 1):
                cpu, wall = time.process_time(), time.perf_counter()
                call()
                took = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
                rows[label] |= {name: min(rows[label][name], seconds) for name, seconds in took.items()}
        if given.peer:
            for row in said(given.peer, given.temperatures):
                old = rows.setdefault((row["peer"], row["work"]), row)
                old |= {name: min(old[name], row[name]) for name in ("cpu_seconds", "wall_seconds")}
    sweeps = {"gibbs": SWEEPS, "ais": given.temperatures - 1}
    for (_, work), row in rows.items():
        row["chain_sweeps_per_cpu_s"] = round(CHAINS * sweeps[work] / row["cpu_seconds"])
        print(json.dumps(row), flush=True)
    for work in sweeps:
        mine = rows["energax", work]
        peers = {peer: row for (peer, which), row in rows.items() if which == work and peer != "energax"}
        names = ("cpu_seconds", "wall_seconds", "first_call_cpu_seconds")
        ratios = {name: {peer: round(row[name] / mine[name], 2) for peer, row in peers.items()} for name in names}
        print(json.dumps({"ratios_of": work, "times_faster_than": ratios}))
    print(json.dumps({"load": round(os.getloadavg()[0], 1)}))


def said(python: str, temperatures: int) -> list[dict]:
    """What the peers' script prints on the same machine."""
    script = Path(__file__).parent / "peers" / "bench_rbm_peers.py"
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/machine.npz", **machine())
        numbers = map(str, (CHAINS, SWEEPS, temperatures))
        command = [python, str(script), f"{folder}/machine.npz", *numbers]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


if __name__ == "__main__":
    main()
