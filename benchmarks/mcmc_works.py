"""The targets and runs that `bench_hmc_nuts.py` and its numpyro half both do, in plain JAX."""

import json
import os
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

rng = np.random.default_rng(0)
# NumPy, since energax must be imported before JAX computes: it switches a wrong fusion of XLA's off
FEATURES = rng.standard_normal((500, 20)).astype(np.float32)
SIGNED = FEATURES * np.where(FEATURES[:, :1] + rng.standard_normal((500, 1)) > 0, 1.0, -1.0).astype(np.float32)
SCALES = np.linspace(0.5, 2.0, 10, dtype=np.float32)


def gaussian(x: jax.Array) -> jax.Array:
    """Ten dimensions, scales of 0.5 to 2."""
    return 0.5 * jnp.sum((x / SCALES) ** 2)


def logistic(x: jax.Array) -> jax.Array:
    """500 rows, 20 weights."""
    return jnp.sum(jax.nn.softplus(-(SIGNED @ x))) + 0.5 * jnp.sum(x * x)


class Work(NamedTuple):
    """One run: every draw is kept."""

    kind: str
    energy: object
    dim: int
    chains: int
    steps: int
    step_size: float
    leapfrogs: int


WORKS = {
    "hmc gauss10d, 1000 chains": Work("hmc", gaussian, 10, 1000, 200, 0.3, 10),
    "hmc logistic20d, 16 chains": Work("hmc", logistic, 20, 16, 200, 0.1, 10),
    "hmc gauss10d, 1 chain": Work("hmc", gaussian, 10, 1, 10_000, 0.3, 10),
    "nuts gauss10d, 100 chains": Work("nuts", gaussian, 10, 100, 200, 0.4, 0),
    "nuts logistic20d, 16 chains": Work("nuts", logistic, 20, 16, 500, 0.1, 0),
    "nuts gauss10d, 1 chain": Work("nuts", gaussian, 10, 1, 2000, 0.4, 0),
}


def start(work: Work) -> jax.Array:
    """Where the chains start."""
    return 0.1 * jax.random.normal(jax.random.key(1), (work.chains, work.dim))


def measure(peer: str, makes: dict, repeats: int) -> None:
    """Prints one JSON line a work: `make()` builds the program anew, and its call runs it -> draws [chains, steps, dim].

    The first call of a program built anew, all caches empty, is what compiling and running costs together; CPU seconds,
    the least over two such builds, and over `repeats` of later calls.
    """
    for name, make in makes.items():
        whole, later, x, call = [], [], None, None
        for _ in range(2):
            jax.clear_caches()
            cpu = time.process_time()
            call = make()
            x = call()
            whole.append(time.process_time() - cpu)
        for _ in range(repeats):
            cpu = time.process_time()
            x = call()
            later.append(time.process_time() - cpu)
        row = {"peer": peer, "work": name, "cpu_seconds": min(later), "whole_cpu_seconds": min(whole)}
        row |= {"shape": list(x.shape), "var": round(float(x[:, x.shape[1] // 2 :].var()), 3)}
        print(json.dumps({**row, "load": round(os.getloadavg()[0], 1)}), flush=True)
