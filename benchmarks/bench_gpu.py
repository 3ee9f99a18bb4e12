"""Throughput on whatever accelerator JAX finds: Langevin and HMC from 1e3 to 1e6 chains, and training steps; JSON lines.

    python benchmarks/bench_gpu.py [--chains 1000 10000 100000 1000000]

Wall time, the least of five runs, compilation excluded and given apart. Gradients are counted as the method needs them.
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from energax.energies import DoubleWell, GaussianMixture, NetworkEnergy, standard_normal
from energax.networks import MLP, Bfloat16, ConvNet, Decode
from energax.objectives import DenoisingScoreMatching, PersistentCD
from energax.samplers import HMC, MALA, ULA, advance, init_chains
from energax.training import Phase, Trainer, run_steps

STEPS = 200


def measure(work: Callable[[], Any], repeats: int = 5) -> tuple[float, float]:
    """(least wall seconds, seconds of the first call)."""
    began = time.perf_counter()
    jax.block_until_ready(work())
    first, best = time.perf_counter() - began, float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        jax.block_until_ready(work())
        best = min(best, time.perf_counter() - began)
    return best, first


def emit(work: str, seconds: float, first: float, **more: Any) -> None:
    """One JSON line."""
    row = {
        "work": work,
        "device": jax.devices()[0].device_kind,
        "seconds": round(seconds, 5),
        "first_call": round(first, 2),
    }
    print(json.dumps({**row, **more}), flush=True)


def samplers(num_chains: int) -> None:
    """Langevin and HMC."""
    ring = 2.0 * jnp.stack([jnp.cos(jnp.arange(8) * jnp.pi / 4), jnp.sin(jnp.arange(8) * jnp.pi / 4)], axis=1)
    mlp = NetworkEnergy(MLP(2, 128, 2, zero_last=False, key=jax.random.key(0)), standard_normal(2))
    works = {
        "ula_doublewell_2d": (ULA(1e-2), DoubleWell(2.0, 2), 2, 1),
        "ula_gmm8_2d": (ULA(1e-2), GaussianMixture(jnp.zeros(8), ring, 0.3), 2, 1),
        "ula_mlp128_2d": (ULA(1e-2), mlp, 2, 1),
        "mala_mlp128_2d": (MALA(1e-2), mlp, 2, 1),
        "hmc_gauss10d": (HMC(0.2, 10), standard_normal(10), 10, 10),
    }
    for name, (sampler, energy, dim, per_step) in works.items():
        chains = init_chains(sampler, energy, jax.random.normal(jax.random.key(1), (num_chains, dim)))
        seconds, first = measure(lambda s=sampler, e=energy, c=chains: advance(jax.random.key(2), s, e, c, STEPS)[0])
        emit(name, seconds, first, chains=num_chains, grads_per_s=round(num_chains * STEPS * per_step / seconds))


def training() -> None:
    """One compiled chunk of training on 28x28 images: in float32, in bfloat16, and with the gradients of four steps gathered."""
    decode = Decode(jnp.zeros(784), jnp.ones(784), shape=(28, 28, 1))
    net = ConvNet((28, 28, 1), (32, 64, 64, 128), key=jax.random.key(0))
    adam = optax.adam(1e-4)
    gathered = optax.MultiSteps(adam, 4).gradient_transformation()
    ways = {"": (net, adam), "_bf16": (Bfloat16(net), adam), "_accumulate4": (net, gathered)}
    rules = {
        "pcd10_conv28": PersistentCD(MALA(1e-2), num_steps=10, num_chains=256),
        "dsm_conv28": DenoisingScoreMatching(0.2),
    }
    chunk = {"x": jax.random.normal(jax.random.key(1), (20, 256, 784))}
    for (name, rule), (suffix, (body, optimizer)) in itertools.product(rules.items(), ways.items()):
        model = NetworkEnergy(body, standard_normal(784), decode)
        trainer = Trainer((Phase(rule, optimizer, trains=lambda m: m.net),))
        state = trainer.init(jax.random.key(2), model, {"x": chunk["x"][0]})
        seconds, first = measure(lambda t=trainer, s=state: run_steps(t, s, chunk)[0].step)
        emit(name + suffix, seconds, first, batch=256, steps_per_s=round(20 / seconds, 1))


def main() -> None:
    """Runs it all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--chains", type=int, nargs="*", default=[1_000, 10_000, 100_000, 1_000_000])
    for num_chains in parser.parse_args().chains:
        samplers(num_chains)
    training()


if __name__ == "__main__":
    main()
