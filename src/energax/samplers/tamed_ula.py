"""The tamed unadjusted Langevin algorithm: a drift that is never longer than 1.

Source: Brosse, Durmus, Moulines and Sabanis (2019), The tamed unadjusted Langevin algorithm,
    doi:10.1016/j.spa.2018.10.002, arXiv:1710.05559, sec. 2 (TULA: the gradient is tamed by its norm).
What differs: nothing; a sample that is a pytree is one long vector to the norm.
Leaves nothing exactly invariant: the bias is O(h), and where h |grad E| is not small it is far from ULA's. Cost: one
gradient a step. Where a gradient grows faster than linearly (x^4) it does not blow up as ULA does. Fails by its bias,
silently; and by taking long to come back: from afar every step is of length about 1, however far the chain is.
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Key, X, checks
from energax.numerics.tree import add_scaled, global_norm, normal_like


class TamedULAState(NamedTuple):
    """Where the chain is; nothing is cached."""

    x: X


class TamedULAInfo(NamedTuple):
    """Energy before the step [nats]; acceptance is 1, there is no test; whether energy or |grad E| were not finite."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]


class TamedULA(AbstractSampler):
    """x' = x - h grad E(x) / (1 + h |grad E(x)|) + sqrt(2 h) xi, xi ~ N(0, 1).

    Args:
        step_size: h, in squared units of x, > 0.

    Raises:
        ValueError: `step_size` is not a positive number.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> energy, far = FunctionEnergy(lambda x: jnp.sum(x**4)), jnp.full(1, 1000.0)
        >>> sampler = TamedULA(0.01)
        >>> state, info = sampler.step(jax.random.key(0), energy, sampler.init(energy, far))
        >>> 998.0 < float(state.x[0]) < 1000.0
        True
    """

    exact: ClassVar[bool] = False
    step_size: float | Scalar

    def __check_init__(self):
        checks.positive("TamedULA", "step_size", self.step_size, ndim=0)

    def init(self, energy: AbstractEnergy, x: X) -> TamedULAState:
        return TamedULAState(x)

    def refresh(self, energy: AbstractEnergy, state: TamedULAState) -> TamedULAState:
        return state

    def step(self, key: Key, energy: AbstractEnergy, state: TamedULAState) -> tuple[TamedULAState, TamedULAInfo]:
        value, gradient = jax.value_and_grad(energy)(state.x)
        norm = global_norm(gradient)
        drifted = add_scaled(state.x, -self.step_size / (1.0 + self.step_size * norm), gradient)
        x = add_scaled(drifted, jnp.sqrt(2 * self.step_size), normal_like(key, state.x))
        # a norm that overflows takes the drift away: never silently
        divergent = ~(jnp.isfinite(value) & jnp.isfinite(norm))
        return TamedULAState(x), TamedULAInfo(value, jnp.ones_like(value), divergent)
