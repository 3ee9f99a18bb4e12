"""The Leimkuhler-Matthews method: Langevin dynamics at the price of ULA whose bias is one order smaller.

Source: Leimkuhler and Matthews (2013), Rational construction of stochastic numerical methods for molecular sampling,
    doi:10.1093/amrx/abs010, arXiv:1203.5428 (the limit of BAOAB at high friction); Leimkuhler, Matthews and Tretyakov
    (2014), On the long-time integration of stochastic gradient systems, doi:10.1098/rspa.2014.0120.
What differs: nothing; the first step has only half of its noise, as there was none before.
Leaves nothing exactly invariant: the bias of the law of x is O(h^2), and none on a Gaussian, whose stationary variance
is exact for every h < 2 s^2. Cost: one gradient a step, and the last step's noise is kept. Fails silently where h is
too large; successive x share a noise, so that a difference of two of them is no measure of the step.
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Key, X, checks
from energax.numerics.tree import add_scaled, all_finite, normal_like


class LeimkuhlerMatthewsState(NamedTuple):
    """Where the chain is, and the noise of its last step, of which the next takes the other half."""

    x: X
    noise: X


class LeimkuhlerMatthewsInfo(NamedTuple):
    """Energy before the step [nats]; acceptance is 1, there is no test."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]


class LeimkuhlerMatthews(AbstractSampler):
    """x' = x - h grad E(x) + sqrt(h / 2) (xi + xi'), xi' ~ N(0, 1) new and xi that of the step before.

    Args:
        step_size: h, in squared units of x, > 0.

    Raises:
        ValueError: `step_size` is not a positive number.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> energy = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))
        >>> sampler = LeimkuhlerMatthews(0.5)
        >>> state, info = sampler.step(jax.random.key(0), energy, sampler.init(energy, jnp.zeros(3)))
        >>> bool(info.divergent), state.noise.shape
        (False, (3,))
    """

    exact: ClassVar[bool] = False
    step_size: float | Scalar

    def __check_init__(self):
        checks.positive("LeimkuhlerMatthews", "step_size", self.step_size, ndim=0)

    def init(self, energy: AbstractEnergy, x: X) -> LeimkuhlerMatthewsState:
        return LeimkuhlerMatthewsState(x, jax.tree.map(jnp.zeros_like, x))

    def refresh(self, energy: AbstractEnergy, state: LeimkuhlerMatthewsState) -> LeimkuhlerMatthewsState:
        return state

    def step(
        self, key: Key, energy: AbstractEnergy, state: LeimkuhlerMatthewsState
    ) -> tuple[LeimkuhlerMatthewsState, LeimkuhlerMatthewsInfo]:
        value, gradient = jax.value_and_grad(energy)(state.x)
        noise = normal_like(key, state.x)
        drifted = add_scaled(state.x, -self.step_size, gradient)
        x = add_scaled(drifted, jnp.sqrt(0.5 * self.step_size), add_scaled(state.noise, 1.0, noise))
        divergent = ~(jnp.isfinite(value) & all_finite(gradient))
        return LeimkuhlerMatthewsState(x, noise), LeimkuhlerMatthewsInfo(value, jnp.ones_like(value), divergent)
