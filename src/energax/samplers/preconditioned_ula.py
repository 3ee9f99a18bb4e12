"""The unadjusted Langevin algorithm with a diagonal preconditioner.

Source: Roberts and Stramer (2002), Langevin diffusions and Metropolis-Hastings algorithms, doi:10.1023/A:1023562417138,
    sec. 2 (a constant volatility M^(1/2) leaves the same density stationary).
What differs: M is constant and diagonal, and there is no Metropolis test.
Leaves nothing exactly invariant: the bias is O(h); on a Gaussian of precision A the stationary covariance is
(A - h A M A / 2)^-1. Cost: one gradient a step. With M the variances, h is in units of 1 and every direction relaxes
alike. Fails silently where h M is too large; a diagonal M does nothing for correlations.
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PyTree, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Key, X, checks
from energax.numerics.tree import add_scaled, all_finite, normal_like, scaled


class PreconditionedULAState(NamedTuple):
    """Where the chain is; nothing is cached."""

    x: X


class PreconditionedULAInfo(NamedTuple):
    """Energy before the step [nats]; acceptance is 1, there is no test."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]


class PreconditionedULA(AbstractSampler):
    """x' = x - h M grad E(x) + sqrt(2 h M) xi, xi ~ N(0, 1).

    Args:
        step_size: h, > 0; h M is in squared units of x.
        preconditioner: The diagonal of M, > 0: a number, or a pytree like one sample (or a prefix of it).

    Raises:
        ValueError: `step_size` or an entry of `preconditioner` is not a positive number; at the first step, where the
            preconditioner does not fit x.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> variance = jnp.array([1.0, 100.0])
        >>> energy = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2 / variance))
        >>> sampler = PreconditionedULA(0.5, variance)
        >>> state, info = sampler.step(jax.random.key(0), energy, sampler.init(energy, jnp.zeros(2)))
        >>> bool(info.divergent)
        False
    """

    exact: ClassVar[bool] = False
    step_size: float | Scalar
    preconditioner: PyTree[Array | np.ndarray | float]

    def __check_init__(self):
        checks.positive("PreconditionedULA", "step_size", self.step_size, ndim=0)
        for leaf in jax.tree.leaves(self.preconditioner):
            checks.positive("PreconditionedULA", "preconditioner", leaf)

    def init(self, energy: AbstractEnergy, x: X) -> PreconditionedULAState:
        return PreconditionedULAState(x)

    def refresh(self, energy: AbstractEnergy, state: PreconditionedULAState) -> PreconditionedULAState:
        return state

    def step(
        self, key: Key, energy: AbstractEnergy, state: PreconditionedULAState
    ) -> tuple[PreconditionedULAState, PreconditionedULAInfo]:
        value, gradient = jax.value_and_grad(energy)(state.x)
        steps = scaled(self.step_size, self.preconditioner)
        drifted = add_scaled(state.x, scaled(-1.0, steps), gradient)
        x = add_scaled(drifted, jax.tree.map(lambda s: jnp.sqrt(2 * s), steps), normal_like(key, state.x))
        divergent = ~(jnp.isfinite(value) & all_finite(gradient))
        return PreconditionedULAState(x), PreconditionedULAInfo(value, jnp.ones_like(value), divergent)
