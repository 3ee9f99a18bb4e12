"""The convolutional energy on one CPU thread: contrastive step, denoising step, Langevin chain, PCD step; JSON lines.

The energy is `NetworkEnergy(ConvNet)` of one sample under vmap, as objectives and samplers use it. A training step is
measured inside a scan of `--scan` steps, as the training loop runs it; "-chunks" is the same with the gradient gathered
by `numerics.microbatch`, "-single" makes a host call for every step and pays for fresh memory pages at each. `benchmarks/peers/bench_conv_torch.py` is PyTorch's half;
`--peer PYTHON` runs it in turns with this one and prints the ratios.

    python benchmarks/bench_conv.py --peer path/to/torch/environment/bin/python

Figures: process CPU time of one thread, the minimum over all repeats.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from energax.energies import NetworkEnergy
from energax.networks import ConvNet
from energax.numerics import mean_in_chunks
from energax.objectives import PersistentCD
from energax.samplers import ULA
from energax.training import Phase, Trainer, run_steps

BATCH, PIXELS, LANGEVIN_STEPS, CHUNK = 64, 784, 20, 8


def tasks(scan: int) -> dict:
    """Name -> (a call without arguments, steps in it)."""
    key = jax.random.key(0)
    energy = NetworkEnergy(ConvNet((28, 28, 1), (32, 64, 64, 128), zero_last=False, key=key))
    weights, rest = eqx.partition(energy, eqx.is_inexact_array)
    optimizer = optax.adam(1e-4)
    opt_state = optimizer.init(weights)
    data, other = (jax.random.uniform(k, (BATCH, PIXELS)) for k in jax.random.split(key))

    def contrastive(weights, key):
        values = jax.vmap(eqx.combine(weights, rest))(jnp.concatenate([data, other]))
        real, fake = values[:BATCH], values[BATCH:]
        return real.mean() - fake.mean() + 0.1 * (real**2 + fake**2).mean()

    def denoising(weights, key):
        noise = jax.random.normal(key, data.shape)
        score = -jax.vmap(jax.grad(eqx.combine(weights, rest)))(data + 0.1 * noise)
        return ((0.1 * score + noise) ** 2).sum(axis=1).mean()

    # the same two losses, their gradient gathered in chunks of samples that fit the cache
    def contrastive_in_chunks(weights, key):
        def one(model, row):
            value = model(row["x"])
            return row["sign"] * value + 0.1 * value**2, ()

        signs = jnp.repeat(jnp.array([1.0, -1.0]), BATCH)
        rows = {"x": jnp.concatenate([data, other]), "sign": signs}
        return 2.0 * mean_in_chunks(one, eqx.combine(weights, rest), rows, CHUNK)[0]

    def denoising_in_chunks(weights, key):
        def one(model, row):
            score = -jax.grad(model)(row["x"] + 0.1 * row["noise"])
            return jnp.sum((0.1 * score + row["noise"]) ** 2), ()

        rows = {"x": data, "noise": jax.random.normal(key, data.shape)}
        return mean_in_chunks(one, eqx.combine(weights, rest), rows, CHUNK)[0]

    def trained(loss, num):
        def step(carry, key):
            weights, opt_state = carry
            gradient = jax.grad(loss)(weights, key)
            updates, opt_state = optimizer.update(gradient, opt_state, weights)
            return (optax.apply_updates(weights, updates), opt_state), None

        run = jax.jit(lambda carry, key: jax.lax.scan(step, carry, jax.random.split(key, num))[0])
        return lambda: run((weights, opt_state), key)

    def langevin(x, key):
        def step(x, key):
            gradient = jax.vmap(jax.grad(energy))(x)
            return x - 0.01 * gradient + 0.005 * jax.random.normal(key, x.shape), None

        return jax.lax.scan(step, x, jax.random.split(key, LANGEVIN_STEPS))[0]

    walk = jax.jit(langevin)
    turns = max(1, scan // 4)

    def persistent(chunk_size):
        rule = PersistentCD(ULA(0.01), LANGEVIN_STEPS, BATCH, energy_penalty=0.1, chunk_size=chunk_size)
        trainer, batches = Trainer((Phase(rule, optimizer),)), {"x": jnp.tile(data, (turns, 1, 1))}
        state = trainer.init(key, energy, {"x": data})
        return lambda: run_steps(trainer, state, batches)

    return {
        "cd64+64": (trained(contrastive, scan), scan),
        "dsm64": (trained(denoising, scan), scan),
        "langevin20": (lambda: walk(data, key), 1),
        "pcd20": (persistent(None), turns),
        "pcd20-chunks": (persistent(CHUNK), turns),
        "cd64+64-chunks": (trained(contrastive_in_chunks, scan), scan),
        "dsm64-chunks": (trained(denoising_in_chunks, scan), scan),
        "cd64+64-single": (trained(contrastive, 1), 1),
        "dsm64-single": (trained(denoising, 1), 1),
    }


def measure(calls: dict, repeats: int) -> dict[str, float]:
    """Least CPU milliseconds a step, each call after one that is not counted."""
    best = {}
    for name, (call, steps) in calls.items():
        for _ in range(repeats):
            start = time.process_time()
            jax.block_until_ready(call())
            best[name] = min(best.get(name, float("inf")), 1e3 * (time.process_time() - start) / steps)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="repeats of each task in a turn")
    parser.add_argument("--turns", type=int, default=3, help="turns, this program and the peer one after the other")
    parser.add_argument("--scan", type=int, default=10, help="training steps in one host call")
    parser.add_argument("--peer", help="a Python with torch: run PyTorch's half in turns and print the ratios")
    options = parser.parse_args()
    calls = tasks(options.scan)
    for call, _ in calls.values():
        jax.block_until_ready(call())
    ours, theirs = {}, {}
    half = Path(__file__).parent / "peers" / "bench_conv_torch.py"
    for _ in range(options.turns):
        _least(ours, measure(calls, options.repeats))
        if options.peer:
            command = [options.peer, str(half), "--repeats", str(options.repeats)]
            lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
            _least(theirs, {row["task"]: row["cpu_ms"] for row in map(json.loads, lines)})
    for name, value in ours.items():
        row = {"framework": f"jax {jax.__version__}", "task": name, "cpu_ms": round(value, 2)}
        peer = theirs.get(name.removesuffix("-single").removesuffix("-chunks"))
        if peer:
            row |= {"torch_cpu_ms": peer, "speed_relative_to_torch": round(peer / value, 3)}
        print(json.dumps(row), flush=True)


def _least(best: dict[str, float], new: dict[str, float]) -> None:
    for name, value in new.items():
        best[name] = min(best.get(name, float("inf")), value)


if __name__ == "__main__":
    sys.exit(main())
