"""HMC and NUTS beside blackjax and numpyro on one CPU thread, compilation excluded and included; JSON lines.

    python benchmarks/bench_hmc_nuts.py                             energax, and blackjax where it is installed
    python benchmarks/bench_hmc_nuts.py --peer path/to/env/python   in turns with numpyro, then ratios

The same target, chains, step size, steps and leapfrogs (or depth), no adaptation; of every step the draw, its energy,
its acceptance and whether it diverged are kept, as `sample` does: blackjax is 8 % quicker built where they are not. CPU seconds of a call, the
least over all repeats of all rounds; `whole_cpu_seconds` are of a program built anew with empty caches, tracing,
compiling and running. The peer's environment holds the same jax, and numpyro.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
import jax.numpy as jnp
from mcmc_works import WORKS, Work, measure, start

from energax.samplers import HMC, init_chains, nuts, sample

try:
    import blackjax
except ImportError:
    blackjax = None


def energax_program(work: Work):
    """By `sample`."""
    kernel = HMC(work.step_size, work.leapfrogs) if work.kind == "hmc" else nuts(work.step_size)
    xs = start(work)

    def call():
        chains = init_chains(kernel, work.energy, xs)
        return jax.block_until_ready(sample(jax.random.key(0), kernel, work.energy, chains, work.steps)[1].x)

    return call


def blackjax_program(work: Work):
    """As blackjax's documentation has it: one key a chain and step, vmap of the step inside a scan."""
    mass = jnp.ones(work.dim)

    def log_density(x):
        return -work.energy(x)

    if work.kind == "hmc":
        kernel = blackjax.hmc(log_density, work.step_size, mass, num_integration_steps=work.leapfrogs)
    else:
        kernel = blackjax.nuts(log_density, work.step_size, mass)

    @jax.jit
    def run(key, xs):
        def body(states, key):
            states, info = jax.vmap(kernel.step)(jax.random.split(key, len(xs)), states)
            return states, (states.position, states.logdensity, info.acceptance_rate, info.is_divergent)

        return jax.lax.scan(body, jax.vmap(kernel.init)(xs), jax.random.split(key, work.steps))[1]

    xs = start(work)
    return lambda: jnp.swapaxes(jax.block_until_ready(run(jax.random.key(0), xs))[0], 0, 1)


PROGRAMS = {"energax": energax_program, "blackjax": blackjax_program}


def one_process(command: list[str], rows: dict) -> None:
    """Runs a half and keeps its least figures."""
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    for row in map(json.loads, (line for line in said.stdout.splitlines() if line.startswith("{"))):
        best = rows.setdefault((row["peer"], row["work"]), row)
        for name in ("cpu_seconds", "whole_cpu_seconds"):
            best[name] = min(best[name], row[name])


def main() -> None:
    """Prints the rows, and the ratios to the peers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="the Python of an environment with the same jax, and numpyro")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--only", choices=list(PROGRAMS), help="one library, in this process")
    given = parser.parse_args()
    if given.only:
        program = PROGRAMS[given.only]
        measure(given.only, {name: lambda w=work: program(w) for name, work in WORKS.items()}, given.repeats)
        return
    rows: dict = {}
    for _ in range(given.rounds):
        for name in PROGRAMS:
            if name == "energax" or blackjax is not None:
                one_process([sys.executable, __file__, "--only", name, "--repeats", str(given.repeats)], rows)
        if given.peer:
            script = Path(__file__).parent / "peers" / "bench_hmc_nuts_numpyro.py"
            one_process([given.peer, str(script), str(given.repeats)], rows)
    for row in rows.values():
        print(json.dumps(row), flush=True)
    for name in WORKS:
        ours = rows["energax", name]
        for figure in ("cpu_seconds", "whole_cpu_seconds"):
            ratios = {p: round(row[figure] / ours[figure], 2) for (p, n), row in rows.items() if n == name}
            print(json.dumps({"work": name, "figure": figure, "times_faster_than": ratios}))


if __name__ == "__main__":
    main()
