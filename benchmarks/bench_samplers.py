"""Gradient evaluations a CPU second of Langevin and HMC on one CPU thread, beside blackjax; JSON lines.

    python benchmarks/bench_samplers.py                                   energax, and blackjax where it is installed
    python benchmarks/bench_samplers.py --peer path/to/torch/env/python   in turns with torchebm and ebmkit, then ratios

1000 chains: 1000 steps of ULA on a double well, a ring of eight Gaussians and an MLP 2x128; 200 steps of HMC with 10
leapfrogs on a 10-D Gaussian; MALA beside blackjax. Gradients are counted as the method needs them (chains x steps x
leapfrogs): who computes one twice gets no credit. CPU seconds are the least over all repeats of all rounds, compilation
excluded (`first_call_seconds`); BENCH_THREADS (1) sets the threads.
"""

import argparse
import json
import math
import os
import subprocess
import time
from pathlib import Path

threads = os.environ.setdefault("BENCH_THREADS", "1")
os.environ["OMP_NUM_THREADS"] = threads
os.environ["OPENBLAS_NUM_THREADS"] = threads
os.environ["JAX_PLATFORMS"] = "cpu"
if threads == "1":
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

from energax.core import FunctionEnergy  # noqa: E402
from energax.energies import DoubleWell, GaussianMixture, NetworkEnergy  # noqa: E402
from energax.networks import MLP  # noqa: E402
from energax.samplers import HMC, MALA, ULA, advance, init_chains  # noqa: E402

try:
    import blackjax
    from blackjax.mcmc.diffusions import DiffusionState, overdamped_langevin
except ImportError:
    blackjax = None

CHAINS, STEPS, STEP_SIZE, WIDTH, STD = 1000, 1000, 1e-2, 128, 0.3
HMC_STEPS, LEAPFROGS, HMC_DIM, HMC_STEP_SIZE = 200, 10, 10, 0.2
BARS = {"ula_doublewell_2d": 5.0, "ula_gmm8_2d": 3.0, "ula_mlp128_2d": 1.1, "hmc_gauss10d": 1.6}
# multiply-adds of a value of the MLP, times 2 operations, times 2 for the gradient in x
MLP_FLOPS = 4 * (2 * WIDTH + WIDTH * WIDTH + WIDTH)

ring = jnp.array([[2 * math.cos(i * math.pi / 4), 2 * math.sin(i * math.pi / 4)] for i in range(8)])
plane, space = (
    jax.random.normal(jax.random.key(1), (CHAINS, 2)),
    jax.random.normal(jax.random.key(2), (CHAINS, HMC_DIM)),
)
WORK = {
    "ula_doublewell_2d": (ULA(STEP_SIZE), DoubleWell(2.0, 2), plane, STEPS),
    "ula_gmm8_2d": (ULA(STEP_SIZE), GaussianMixture(jnp.zeros(8), ring, STD), plane, STEPS),
    "ula_mlp128_2d": (
        ULA(STEP_SIZE),
        NetworkEnergy(MLP(2, WIDTH, 2, zero_last=False, key=jax.random.key(0))),
        plane,
        STEPS,
    ),
    "hmc_gauss10d": (
        HMC(HMC_STEP_SIZE, LEAPFROGS),
        FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2)),
        space,
        HMC_STEPS,
    ),
    "mala_doublewell_2d": (MALA(STEP_SIZE), DoubleWell(2.0, 2), plane, STEPS),
}


def gradients(name: str) -> int:
    """Gradients that the work needs."""
    sampler, _, xs, steps = WORK[name]
    return len(xs) * steps * (sampler.num_leapfrog if isinstance(sampler, HMC) else 1)


def energax_call(name: str):
    """The work by `advance`."""
    sampler, energy, xs, steps = WORK[name]
    chains = init_chains(sampler, energy, xs)
    return lambda: jax.block_until_ready(advance(jax.random.key(0), sampler, energy, chains, steps)[0].states.x)


def blackjax_call(name: str):
    """The same work as blackjax's documentation has it: one key a chain and step, vmap of the step inside a scan."""
    sampler, energy, xs, steps = WORK[name]

    def log_density(x):
        return -energy(x)

    if isinstance(sampler, ULA):
        langevin = overdamped_langevin(jax.value_and_grad(log_density))

        def start(x):
            return DiffusionState(x, *jax.value_and_grad(log_density)(x))

        def step(key, state):
            return langevin(key, state, sampler.step_size)
    else:
        if isinstance(sampler, HMC):
            mass = jnp.ones(xs.shape[1])
            kernel = blackjax.hmc(log_density, sampler.step_size, mass, num_integration_steps=sampler.num_leapfrog)
        else:
            kernel = blackjax.mala(log_density, sampler.step_size)
        start = kernel.init

        def step(key, state):
            return kernel.step(key, state)[0]

    @jax.jit
    def run(key, xs):
        def body(states, key):
            return jax.vmap(step)(jax.random.split(key, len(xs)), states), None

        return jax.lax.scan(body, jax.vmap(start)(xs), jax.random.split(key, steps))[0].position

    return lambda: jax.block_until_ready(run(jax.random.key(0), xs))


def peak_call():
    """Single-precision matrix product: what the threads reach at best. -> (call, floating operations)."""
    n = 1024
    a = jax.random.normal(jax.random.key(0), (n, n))
    product = jax.jit(lambda a: a @ a)
    return (lambda: jax.block_until_ready(product(a))), 2 * n**3


def main() -> None:
    """Prints the rows, and the ratios to the peers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="the Python of an environment with torch, torchebm and ebmkit")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    calls, first, best, where = {}, {}, {}, {}
    for name in WORK:
        calls["energax", name] = energax_call(name)
        if blackjax is not None:
            calls["blackjax", name] = blackjax_call(name)
    calls["peak", "matrix product"], peak_flops = peak_call()
    for label, call in calls.items():
        since = time.perf_counter()
        x = call()
        first[label], where[label] = time.perf_counter() - since, float(x.var())
    rows = {}
    for _ in range(given.rounds):
        for label, call in [pair for pair in calls.items() for _ in range(given.repeats)]:
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            spent = (time.perf_counter() - wall, time.process_time() - cpu)
            best[label] = tuple(min(a, b) for a, b in zip(best.get(label, spent), spent, strict=True))
        if given.peer:
            script = Path(__file__).parent / "peers" / "bench_samplers_torch.py"
            said = subprocess.run(
                [given.peer, str(script), str(given.repeats)], capture_output=True, text=True, check=True
            )
            for row in map(json.loads, said.stdout.splitlines()):
                label = (row["peer"], row["work"])
                if label not in rows or row["cpu_seconds"] < rows[label]["cpu_seconds"]:
                    rows[label] = row
    peak = peak_flops / best.pop(("peak", "matrix product"))[1]
    for (peer, name), (wall, cpu) in best.items():
        row = {"peer": peer, "work": name, "seconds": round(wall, 5), "cpu_seconds": round(cpu, 5)}
        row |= {"var": round(where[peer, name], 3), "first_call_seconds": round(first[peer, name], 2)}
        rows[peer, name] = row
    for (_, name), row in rows.items():
        row["grad_evals_per_cpu_s"] = round(gradients(name) / row["cpu_seconds"])
        if name == "ula_mlp128_2d":
            row["share_of_peak"] = round(row["grad_evals_per_cpu_s"] * MLP_FLOPS / peak, 3)
        print(json.dumps({**row, "load": round(os.getloadavg()[0], 1)}), flush=True)
    print(json.dumps({"work": "peak", "gflops_per_cpu_s": round(peak / 1e9, 1)}))
    for name in WORK:
        ours = rows["energax", name]["cpu_seconds"]
        ratios = {peer: round(row["cpu_seconds"] / ours, 2) for (peer, n), row in rows.items() if n == name}
        print(json.dumps({"work": name, "times_faster_than": ratios, "bar_torch": BARS.get(name)}))


if __name__ == "__main__":
    main()
