"""Short-run learning: negatives are always so many transitions away from the same noise, and are then thrown away.

Source: Nijkamp, Hill, Zhu and Wu (2019), Learning non-convergent non-persistent short-run MCMC toward energy-based
    model, arXiv:1904.09770, algorithm 1. What differs: any sampler, at temperature 1 unless it is told otherwise; no
    adaptation of its step, since number and size of the steps are part of what is learned.
Estimates no likelihood: what is learned is a generator, `num_steps` transitions from `start`, whose statistics (the
means of grad E) match those of the data. Cost: num_steps gradients of the energy a walker, and two passes for the loss.
Fails as an energy: chains that walk longer than in training drift away from the data (over-saturated images), masses
and levels of the energy are not the data's. Sample with the same steps from the same start.
"""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Scalar

from energax.core import AbstractEnergy, AbstractObjective, AbstractSampler, Batch, Key, Metrics, checks

from .negatives import check_energy, check_sampler, contrast, report, walk
from .start import AbstractStart, NormalStart, check_start


class ShortRun(AbstractObjective):
    """mean E(data) - mean E(num_steps transitions from new noise); the gradient does not enter the chain.

    Carries no state. Metrics: gap, energy_data, energy_model, acceptance, divergent (fraction of chains), evicted,
    walker_radius, temperature, and step_size where the sampler has one.

    Args:
        sampler: The kernel.
        num_steps: Transitions from the start, >= 1; 100 in the paper.
        num_chains: Walkers in a step, >= 1.
        energy_penalty: Weight of mean E(data)^2 + mean E(negatives)^2, >= 0.
        chunk_size: Rows whose gradient is taken, and walkers that move, at a time, >= 1; 8 is good for image networks
            on a CPU. None takes all.
        start: Where walkers are born, every time.

    Raises:
        ValueError: A field is outside its range, or `start` does not draw samples like the data.

    Example:
        >>> import jax.numpy as jnp
        >>> from energax.core import FunctionEnergy
        >>> from energax.samplers import ULA
        >>> rule = ShortRun(ULA(0.01), num_steps=10, num_chains=16)
        >>> energy, batch = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2)), {"x": jnp.ones((8, 2))}
        >>> loss, (state, metrics) = rule(jax.random.key(1), energy, None, batch)
        >>> float(metrics["temperature"])
        1.0
    """

    sampler: AbstractSampler
    num_steps: int
    num_chains: int
    energy_penalty: float = 0.0
    chunk_size: int | None = None
    start: AbstractStart = eqx.field(default_factory=NormalStart)

    def __check_init__(self):
        check_sampler("ShortRun", self.sampler)
        checks.count("ShortRun", "num_steps", self.num_steps)
        checks.count("ShortRun", "num_chains", self.num_chains)
        checks.non_negative("ShortRun", "energy_penalty", self.energy_penalty)
        if self.chunk_size is not None:
            checks.count("ShortRun", "chunk_size", self.chunk_size)

    def init(self, key: Key, model: Any, batch: Batch) -> None:
        """Nothing is carried; refuses a model that is no energy of one row, and a start that is not like the data."""
        check_energy("ShortRun", model, batch["x"])
        check_start("ShortRun", self.start, batch["x"], self.num_chains)

    def __call__(
        self, key: Key, model: AbstractEnergy, state: None, batch: Batch
    ) -> tuple[Scalar, tuple[None, Metrics]]:
        born, step = jax.random.split(key)
        xs = self.start(born, batch["x"], self.num_chains)
        moved = walk(step, self.sampler, model, xs, self.num_steps, self.chunk_size)
        loss, metrics = contrast(model, batch["x"], moved.x, moved.good, self.energy_penalty, self.chunk_size)
        return loss, (None, metrics | report(self.sampler, moved, batch["x"]))
