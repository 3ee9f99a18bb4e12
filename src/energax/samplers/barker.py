"""The Barker proposal: a gradient-informed walk that a wrong step size does not stop.

Source: Livingstone and Zanella (2022), The Barker proposal, doi:10.1111/rssb.12482, arXiv:1908.11812, sec. 3, alg. 1.
What differs: a proposal whose energy or gradient is not finite is rejected, and the chain flagged `divergent`. One
    width serves every coordinate: whiten x for more.
Leaves p(x) ~ exp(-E(x)) exactly invariant (detailed balance). Cost: one gradient a step, the current point's is cached.
Tune to an acceptance of about 0.4 (width ~ dim^(-1/6), as MALA's sqrt(2 h)). However steep the energy, a proposal moves
by the noise alone, and so a far tail is left where MALA stands still. Fails by mixing slower than MALA where both fit:
a coordinate's move is never longer than its noise.
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Key, X, checks
from energax.numerics.random import uniform
from energax.numerics.tree import all_finite, normal_like, where


class BarkerState(NamedTuple):
    """Where the chain is, with E(x) and grad E(x): `refresh` renews both when the energy has changed."""

    x: X
    energy: Scalar
    gradient: X


class BarkerInfo(NamedTuple):
    """Energy after the step [nats], probability of acceptance, and whether the proposal was not finite."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]


class Barker(AbstractSampler):
    """Proposes x_i + b_i z_i, z_i ~ N(0, step_size^2), b_i = 1 with probability 1 / (1 + exp(z_i dE/dx_i)), else -1.

    The gradient chooses the side of each coordinate and never the length. Accepts with min(1, p(y) q(x | y) / (p(x)
    q(y | x))), where q(y | x) is the product of N(d_i; 0, step_size^2) 2 / (1 + exp(d_i dE/dx_i)) for d = y - x.

    Args:
        step_size: Standard deviation of a proposal, in the units of x, > 0.

    Raises:
        ValueError: `step_size` is not a positive number.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> energy = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))
        >>> sampler = Barker(0.5)
        >>> state, info = sampler.step(jax.random.key(0), energy, sampler.init(energy, jnp.zeros(3)))
        >>> bool(info.divergent)
        False
    """

    reversible: ClassVar[bool] = True
    step_size: float | Scalar

    def __check_init__(self):
        checks.positive("Barker", "step_size", self.step_size, ndim=0)

    def init(self, energy: AbstractEnergy, x: X) -> BarkerState:
        value, gradient = jax.value_and_grad(energy)(x)
        return BarkerState(x, value, gradient)

    def refresh(self, energy: AbstractEnergy, state: BarkerState) -> BarkerState:
        return self.init(energy, state.x)

    def step(self, key: Key, energy: AbstractEnergy, state: BarkerState) -> tuple[BarkerState, BarkerInfo]:
        level = uniform(key)  # disjoint blocks of one key
        jump = self._jump(key, state)
        new = self.init(energy, jax.tree.map(lambda x, d: x + d.astype(x.dtype), state.x, jump))
        # log q(x|y) - log q(y|x), each factor 1 / (1 + exp(t)) a softplus: no overflow however steep the energy
        log_ratio = (state.energy - new.energy).astype(jnp.promote_types(state.energy.dtype, jnp.float32))
        for d, here, there in zip(*map(jax.tree.leaves, (jump, state.gradient, new.gradient)), strict=True):
            ahead, back = jax.nn.softplus(d * here.astype(d.dtype)), jax.nn.softplus(-d * there.astype(d.dtype))
            log_ratio = log_ratio + jnp.sum(ahead - back).astype(log_ratio.dtype)
        finite = jnp.isfinite(new.energy) & all_finite(new.gradient) & ~jnp.isnan(log_ratio)
        acceptance = jnp.where(finite, jnp.exp(jnp.minimum(log_ratio, 0.0)), 0.0)
        state = where(level.astype(acceptance.dtype) < acceptance, new, state)
        return state, BarkerInfo(state.energy, acceptance, ~finite)

    def _jump(self, key: Key, state: BarkerState) -> X:
        """b z in float32 at least. The side is drawn by a second normal: Phi of it is a uniform number."""
        wide = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, jnp.promote_types(x.dtype, jnp.float32)), state.gradient
        )
        noise, side = normal_like(key, (wide, wide))

        def along(n, s, gradient):
            z = jnp.asarray(self.step_size, n.dtype) * n
            forward = jax.scipy.special.ndtr(s) < jax.nn.sigmoid(-z * gradient.astype(z.dtype))
            return jnp.where(forward, z, -z)

        return jax.tree.map(along, noise, side, state.gradient)
