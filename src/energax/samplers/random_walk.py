"""Random-walk Metropolis with a Gaussian proposal.

Source: Metropolis, Rosenbluth, Rosenbluth, Teller and Teller (1953), Equation of state calculations by fast computing
    machines, doi:10.1063/1.1699114, sec. II; Roberts, Gelman and Gilks (1997), Weak convergence and optimal scaling of
    random walk Metropolis algorithms, doi:10.1214/aoap/1034625254 (the Gaussian proposal and its best acceptance).
What differs: a proposal whose energy is not finite is rejected, and the chain flagged `divergent`.
Leaves p(x) ~ exp(-E(x)) exactly invariant (detailed balance). Cost: one energy a step and no gradient, the current
point's is cached. Tune to an acceptance of 0.234 in many dimensions (width 2.38 / sqrt(dim) of the scale), 0.44 in one.
Fails slowly: the moves shrink as dim^(-1/2), where MALA's shrink as dim^(-1/6).
"""

from typing import ClassVar, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Key, X, checks
from energax.numerics.random import uniform
from energax.numerics.tree import add_scaled, normal_like, where


class RandomWalkState(NamedTuple):
    """Where the chain is, and E(x): `refresh` renews it when the energy has changed."""

    x: X
    energy: Scalar


class RandomWalkInfo(NamedTuple):
    """Energy after the step [nats], probability of acceptance, and whether the proposal was not finite."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]


class RandomWalk(AbstractSampler):
    """Proposes y = x + step_size xi, xi ~ N(0, 1), and accepts with min(1, p(y) / p(x)).

    Args:
        step_size: Standard deviation of a proposal, in the units of x, > 0.

    Raises:
        ValueError: `step_size` is not a positive number.

    Example:
        >>> import jax
        >>> from energax.core import FunctionEnergy
        >>> energy = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))
        >>> sampler = RandomWalk(0.5)
        >>> state, info = sampler.step(jax.random.key(0), energy, sampler.init(energy, jnp.zeros(3)))
        >>> bool(info.divergent)
        False
    """

    reversible: ClassVar[bool] = True
    step_size: float | Scalar

    def __check_init__(self):
        checks.positive("RandomWalk", "step_size", self.step_size, ndim=0)

    def init(self, energy: AbstractEnergy, x: X) -> RandomWalkState:
        return RandomWalkState(x, energy(x))

    def refresh(self, energy: AbstractEnergy, state: RandomWalkState) -> RandomWalkState:
        return self.init(energy, state.x)

    def step(self, key: Key, energy: AbstractEnergy, state: RandomWalkState) -> tuple[RandomWalkState, RandomWalkInfo]:
        noise, level = normal_like(key, state.x), uniform(key)  # disjoint blocks of one key
        new = self.init(energy, add_scaled(state.x, self.step_size, noise))
        log_ratio = (state.energy - new.energy).astype(jnp.promote_types(state.energy.dtype, jnp.float32))
        finite = jnp.isfinite(new.energy) & ~jnp.isnan(log_ratio)
        acceptance = jnp.where(finite, jnp.exp(jnp.minimum(log_ratio, 0.0)), 0.0)
        state = where(level.astype(acceptance.dtype) < acceptance, new, state)
        return state, RandomWalkInfo(state.energy, acceptance, ~finite)
