"""One process of a run: `worker.py PROCESSES ID PORT OUT`. With one process it is the reference."""

import os
import sys

os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import numpy as np
import optax

from energax.core import FunctionEnergy
from energax.objectives import PersistentCD
from energax.runtime import hosts
from energax.runtime.placement import Placement
from energax.samplers import MALA
from energax.training import Phase, Trainer, run_steps


def bowl(params, x):
    """A bowl with a bump, of two parameters."""
    return 0.5 * params[0] * jax.numpy.sum(x**2) + params[1] * jax.numpy.tanh(x[0] * x[1])


def main(processes: int, number: int, port: str, out: str) -> None:
    jax.config.update("jax_num_cpu_devices", 2)
    if processes > 1:
        hosts.initialize(f"127.0.0.1:{port}", processes, number)
    place = Placement.auto() if processes > 1 else Placement.single()
    rng = np.random.default_rng(0)
    chunk = rng.normal(size=(3, 8, 2)).astype(np.float32)
    trainer = Trainer((Phase(PersistentCD(MALA(0.2), 2, 8, adapt_target=0.7), optax.adam(0.05)),))
    model = FunctionEnergy(jax.tree_util.Partial(bowl, np.ones(2, np.float32)))
    state = place.state(trainer.init(jax.random.key(0), model, {"x": chunk[0]}))
    mine = hosts.host_slice(8)
    state, metrics = run_steps(trainer, state, place.chunk({"x": chunk[:, mine]}))
    walkers = state.objectives[0].buffer.samples.states
    split = len(walkers.sharding.device_set) if not walkers.sharding.is_fully_replicated else 1
    whole, seen = place.fetch(state), place.fetch(metrics)
    if hosts.is_main():
        np.savez(
            out,
            params=whole.model.function.args[0],
            ema=whole.ema.function.args[0],
            walkers=whole.objectives[0].buffer.samples.states,
            gap=seen["gap"],
            rejected=seen["rejected"],
            split=split,
            processes=hosts.hosts(),
        )
    if processes > 1:
        hosts.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
