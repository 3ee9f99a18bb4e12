"""Fast-weights persistent contrastive divergence: walkers feel an extra, quickly forgotten layer of learning.

Source: Tieleman and Hinton (2009), Using fast weights to improve persistent contrastive divergence,
    doi:10.1145/1553374.1553506, sec. 3 and 4. What differs: any model and sampler; which parameters have fast weights
    is said by `part`; the fast learning rate is constant.
Estimates the gradient of `PersistentCD` at walkers that mix faster: the energy where they stand is pushed up for them
at once and by more than for the model, so that they leave. Cost: that of `PersistentCD` and one more gradient in the
parameters.
Fails to be the model's own sampler: walkers follow another energy, off by as much as `fast_norm` says; with a large
`fast_rate` they chase noise, with none it is `PersistentCD`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree, Scalar

from energax.core import AbstractEnergy, AbstractObjective, AbstractSampler, Batch, Key, Metrics, checks, freeze
from energax.numerics.tree import add_scaled, global_norm
from energax.samplers import ReplayBuffer

from .negatives import check_energy, check_sampler, contrast, report, walk
from .start import AbstractStart, NormalStart, check_start


class FastWeightsState(NamedTuple):
    """The walkers with their ages [turns], and the fast weights: None where a leaf has none."""

    buffer: ReplayBuffer
    fast: PyTree


class FastWeightsPCD(AbstractObjective):
    """mean E(data) - mean E(walkers), the walkers moved under parameters + fast; then fast <- decay fast - rate g.

    g is the gradient of this step, the same that the optimiser sees. Metrics: those of `PersistentCD` but step
    adaptation, and `fast_norm`, the norm of the fast weights over that of the parameters that have them.

    Args:
        sampler: The kernel; one that targets exp(-E) at temperature 1 for the rule to be sound.
        num_steps: Transitions a turn, >= 1.
        num_chains: Walkers, all of which move in a turn, >= 1.
        fast_rate: Learning rate of the fast weights, >= 0, in the units of a plain gradient step.
        decay: What is left of the fast weights after a turn, in (0, 1); 19 / 20 in the paper.
        part: model -> the nodes that have fast weights (one, or a tuple), as `Phase.trains`; the default is all.
        energy_penalty: Weight of mean E(data)^2 + mean E(negatives)^2, >= 0.
        start: Where walkers are born.

    Raises:
        ValueError: A field is outside its range, or `start` does not draw samples like the data.

    Example:
        >>> from energax.energies import BernoulliRBM, IndependentBits
        >>> from energax.objectives import GeneratorStart
        >>> from energax.samplers import BlockGibbs
        >>> rbm = BernoulliRBM(jnp.zeros((3, 2)), jnp.zeros(3), jnp.zeros(2))
        >>> start = GeneratorStart(IndependentBits(jnp.zeros(3)))
        >>> rule, batch = FastWeightsPCD(BlockGibbs(), 1, 16, fast_rate=0.1, start=start), {"x": jnp.ones((8, 3))}
        >>> state = rule.init(jax.random.key(0), rbm, batch)
        >>> loss, (state, metrics) = rule(jax.random.key(1), rbm, state, batch)
        >>> bool(jnp.all(state.fast.visible_bias > 0))  # the data are ones, the walkers are not
        True
    """

    sampler: AbstractSampler
    num_steps: int
    num_chains: int
    fast_rate: float = 0.01
    decay: float = 0.95
    part: Callable[[Any], Any] = eqx.field(static=True, default=lambda model: model)
    energy_penalty: float = 0.0
    start: AbstractStart = eqx.field(default_factory=NormalStart)

    def __check_init__(self):
        check_sampler("FastWeightsPCD", self.sampler)
        checks.count("FastWeightsPCD", "num_steps", self.num_steps)
        checks.count("FastWeightsPCD", "num_chains", self.num_chains)
        checks.non_negative("FastWeightsPCD", "fast_rate", self.fast_rate)
        checks.fraction("FastWeightsPCD", "decay", self.decay)
        checks.non_negative("FastWeightsPCD", "energy_penalty", self.energy_penalty)

    def init(self, key: Key, model: Any, batch: Batch) -> FastWeightsState:
        """Newborn walkers and fast weights of 0."""
        check_energy("FastWeightsPCD", model, batch["x"])
        check_start("FastWeightsPCD", self.start, batch["x"], self.num_chains)
        quick, _ = self._split(model)
        buffer = ReplayBuffer.create(self.start(key, batch["x"], self.num_chains))
        return FastWeightsState(buffer, jax.tree.map(jnp.zeros_like, quick))

    def __call__(
        self, key: Key, model: AbstractEnergy, state: FastWeightsState, batch: Batch
    ) -> tuple[Scalar, tuple[FastWeightsState, Metrics]]:
        quick, rest = self._split(freeze(model))
        shifted = eqx.combine(jax.tree.map(jnp.add, quick, state.fast), rest)
        draw, step = jax.random.split(key)
        slots, xs, ages = state.buffer.draw(draw, self.num_chains)
        moved = walk(step, self.sampler, shifted, xs, self.num_steps)

        def against(model: AbstractEnergy) -> tuple[Scalar, Metrics]:
            return contrast(model, batch["x"], moved.x, moved.good, self.energy_penalty)

        slope = jax.grad(lambda part: against(eqx.combine(part, rest))[0])(quick)
        fast = add_scaled(jax.tree.map(lambda leaf: self.decay * leaf, state.fast), -self.fast_rate, slope)
        loss, metrics = against(model)
        buffer, _ = state.buffer.write(slots, moved.x, ages)
        turns = buffer.ages.states.astype(jnp.float32)
        metrics |= report(self.sampler, moved, batch["x"])
        metrics |= {"age_mean": jnp.mean(turns), "age_max": jnp.max(turns)}
        metrics |= {"fast_norm": global_norm(fast) / jnp.maximum(global_norm(quick), 1e-30)}
        return loss, (FastWeightsState(buffer, fast), metrics)

    def _split(self, model: Any) -> tuple[Any, Any]:
        """(the floating arrays of the part that has fast weights, the rest), None where the other one has a leaf."""
        nothing = jax.tree.map(lambda _: False, model)
        mask = eqx.tree_at(self.part, nothing, jax.tree.map(eqx.is_inexact_array, self.part(model)))
        return eqx.partition(model, mask)
