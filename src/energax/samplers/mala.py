"""The Metropolis-adjusted Langevin algorithm.

Source: Besag (1994), discussion of Grenander and Miller, doi:10.1111/j.2517-6161.1994.tb02000.x;
    Roberts and Tweedie (1996), Exponential convergence of Langevin distributions, doi:10.2307/3318418, sec. 1.4.2.
What differs: a proposal whose energy or gradient is not finite is rejected, and the chain flagged `divergent`.
Leaves p(x) ~ exp(-E(x)) exactly invariant (detailed balance). Cost: one gradient a step, the current point's is cached.
Tune to an acceptance of 0.574 (h ~ dim^(-1/3)). Fails by standing still: in a steep tail all is rejected.
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Key, X, checks
from energax.numerics.random import uniform
from energax.numerics.tree import add_scaled, all_finite, dot, normal_like, squared_norm, where


class MALAState(NamedTuple):
    """Where the chain is, with E(x) and grad E(x): `refresh` renews both when the energy has changed."""

    x: X
    energy: Scalar
    gradient: X


class MALAInfo(NamedTuple):
    """Energy after the step [nats], probability of acceptance, and whether the proposal was not finite."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]


class MALA(AbstractSampler):
    """Proposes y = x - h grad E(x) + sqrt(2 h) xi and accepts with min(1, p(y) q(x | y) / (p(x) q(y | x))).

    Args:
        step_size: h, in squared units of x, > 0.

    Raises:
        ValueError: `step_size` is not a positive number.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> energy = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))
        >>> sampler = MALA(0.5)
        >>> state, info = sampler.step(jax.random.key(0), energy, sampler.init(energy, jnp.zeros(3)))
        >>> bool(info.divergent)
        False
    """

    reversible: ClassVar[bool] = True
    step_size: float | Scalar

    def __check_init__(self):
        checks.positive("MALA", "step_size", self.step_size, ndim=0)

    def init(self, energy: AbstractEnergy, x: X) -> MALAState:
        value, gradient = jax.value_and_grad(energy)(x)
        return MALAState(x, value, gradient)

    def refresh(self, energy: AbstractEnergy, state: MALAState) -> MALAState:
        return self.init(energy, state.x)

    def step(self, key: Key, energy: AbstractEnergy, state: MALAState) -> tuple[MALAState, MALAInfo]:
        noise, level = normal_like(key, state.x), uniform(key)  # disjoint blocks of one key
        scale = jnp.sqrt(2 * self.step_size)
        new = self.init(energy, add_scaled(add_scaled(state.x, -self.step_size, state.gradient), scale, noise))
        # log q(x|y) - log q(y|x) = (|xi|^2 - |xi - sqrt(h/2) (g(x) + g(y))|^2) / 2, since x - y + h g(y)
        # = h (g(x) + g(y)) - sqrt(2h) xi: the cancelling |xi|^2 is taken out by hand, for float32.
        both = add_scaled(state.gradient, 1.0, new.gradient)
        along, across = dot(noise, both), squared_norm(both)
        h = jnp.asarray(self.step_size, along.dtype)
        log_ratio = (state.energy - new.energy).astype(h.dtype) + jnp.sqrt(0.5 * h) * along - 0.25 * h * across
        finite = jnp.isfinite(new.energy) & all_finite(new.gradient) & ~jnp.isnan(log_ratio)
        acceptance = jnp.where(finite, jnp.exp(jnp.minimum(log_ratio, 0.0)), 0.0)
        state = where(level.astype(acceptance.dtype) < acceptance, new, state)
        return state, MALAInfo(state.energy, acceptance, ~finite)
