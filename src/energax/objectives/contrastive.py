"""Contrastive divergence: negatives are a few transitions away from the data.

Source: Hinton (2002), Training products of experts by minimizing contrastive divergence,
    doi:10.1162/089976602760128018, eqs. (3)-(5). What differs: any sampler that leaves the model's density
    invariant; MALA's step may adapt; squared energies may be penalised.
Estimates the gradient of KL(data || model) - KL(k steps from data || model) without the term through the chain, as
in the paper: biased, and zero at the truth. Cost: num_steps gradients of the energy a sample, and two passes for
the loss.
Fails on separated modes: chains started at data stay in their mode, so that relative masses are not learned (two
wells at +-3, unit width: 1.4 % of the right pull at k = 10). The loss is no signal of progress; the gap's sign
tells little.
"""

from typing import Any

from jaxtyping import Scalar

from energax.core import AbstractEnergy, AbstractObjective, AbstractSampler, Batch, Key, Metrics, checks

from .negatives import Tuning, check_energy, check_sampler, contrast, report, tuning, walk


class ContrastiveDivergence(AbstractObjective):
    """CD-k: mean E(data) - mean E(k transitions from the same data); the gradient does not enter the chain.

    Metrics: gap, energy_data, energy_model, acceptance, divergent (fraction of chains), evicted (chains that left the
    finite; they are left out of the loss), walker_radius, temperature, and step_size where the sampler has one.

    Args:
        sampler: The kernel; one that targets exp(-E) at temperature 1 for the rule to be sound.
        num_steps: k, transitions from the data, >= 1.
        adapt_target: Mean acceptance in (0, 1) towards which log step_size walks from one training step to the next;
            None keeps the sampler's own step size.
        adapt_rate: Change of log step_size for a whole unit of acceptance, > 0.
        min_step_size: The adapted step stays above this, > 0.
        max_step_size: The adapted step stays below this.
        energy_penalty: Weight of mean E(data)^2 + mean E(negatives)^2, >= 0; 0 is Hinton's rule.
        chunk_size: Rows whose gradient is taken, and walkers that move, at a time, >= 1; 8 is good for image networks
            on a CPU. None takes all.

    Raises:
        ValueError: A field is outside its range.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from energax.core import FunctionEnergy
        >>> from energax.samplers import ULA
        >>> rule = ContrastiveDivergence(ULA(0.01), num_steps=3)
        >>> energy, batch = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2)), {"x": jnp.ones((8, 2))}
        >>> state = rule.init(jax.random.key(0), energy, batch)
        >>> loss, (state, metrics) = rule(jax.random.key(1), energy, state, batch)
        >>> float(metrics["acceptance"])
        1.0
    """

    sampler: AbstractSampler
    num_steps: int
    adapt_target: float | None = None
    adapt_rate: float = 0.05
    min_step_size: float = 1e-6
    max_step_size: float = 1e3
    energy_penalty: float = 0.0
    chunk_size: int | None = None

    def __check_init__(self):
        check_sampler("ContrastiveDivergence", self.sampler)
        checks.count("ContrastiveDivergence", "num_steps", self.num_steps)
        checks.non_negative("ContrastiveDivergence", "energy_penalty", self.energy_penalty)
        if self.chunk_size is not None:
            checks.count("ContrastiveDivergence", "chunk_size", self.chunk_size)
        self._tuning.init(self.sampler)

    @property
    def _tuning(self) -> Tuning:
        return tuning(self.adapt_target, self.adapt_rate, self.min_step_size, self.max_step_size)

    def init(self, key: Key, model: Any, batch: Batch) -> Any:
        """log step_size where it adapts, else None; refuses a model that is no energy of one row of `batch["x"]`."""
        check_energy("ContrastiveDivergence", model, batch["x"])
        return self._tuning.init(self.sampler)

    def __call__(self, key: Key, model: AbstractEnergy, state: Any, batch: Batch) -> tuple[Scalar, tuple[Any, Metrics]]:
        sampler = self._tuning.apply(self.sampler, state)
        moved = walk(key, sampler, model, batch["x"], self.num_steps, self.chunk_size)
        loss, metrics = contrast(model, batch["x"], moved.x, moved.good, self.energy_penalty, self.chunk_size)
        return loss, (self._tuning.update(state, moved.info), metrics | report(sampler, moved, batch["x"]))
