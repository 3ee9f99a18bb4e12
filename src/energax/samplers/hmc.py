"""Hamiltonian Monte Carlo.

Source: Duane et al. (1987), Hybrid Monte Carlo, doi:10.1016/0370-2693(87)91197-X;
    Neal (2011), MCMC using Hamiltonian dynamics, arXiv:1206.1901, fig. 2;
    a length drawn anew for every trajectory: Mackenzie (1989), doi:10.1016/0370-2693(89)91212-4.
What differs: a trajectory that ends at, or passes through, a number that is not finite is rejected, and the chain
    flagged `divergent`. The mass is the identity: `Whitened` makes another. The length varies through its step, not
    through the number of leapfrogs, so that chains side by side cost the same.
Leaves p(x) ~ exp(-E(x)) exactly invariant, with E[exp(-energy_error)] = 1 in equilibrium (Creutz 1988) for any step.
Cost: `num_leapfrog` gradients a step, the current point's is cached. Tune to an acceptance of 0.65. Fails by standing
still where `step_size` is over twice the narrowest scale, and by going round where the trajectory is a whole period
(`jitter` prevents it).
"""

from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Key, X, checks
from energax.numerics.random import uniform
from energax.numerics.tree import add_scaled, all_finite, normal_like, squared_norm, where


class HMCState(NamedTuple):
    """Where the chain is, with E(x) and grad E(x): `refresh` renews both when the energy has changed."""

    x: X
    energy: Scalar
    gradient: X


class HMCInfo(NamedTuple):
    """Energy after the step [nats], probability of acceptance, whether the path left the finite, its error in H."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]
    energy_error: Scalar


class HMC(AbstractSampler):
    """A fresh momentum, `num_leapfrog` leapfrogs of length `step_size`, and a Metropolis test of the total energy.

    Args:
        step_size: Length of one leapfrog, in the units of x, > 0.
        num_leapfrog: Leapfrogs a step, >= 1.
        jitter: In (0, 1): every trajectory takes its leapfrogs uniform in `step_size` * (1 -+ jitter); None is a fixed
            step.

    Raises:
        ValueError: `step_size` is not a positive number, `num_leapfrog` not an integer >= 1 or `jitter` outside (0, 1).

    Example:
        >>> from energax.core import FunctionEnergy
        >>> energy = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))
        >>> sampler = HMC(0.2, 10)
        >>> state, info = sampler.step(jax.random.key(0), energy, sampler.init(energy, jnp.zeros(3)))
        >>> abs(float(info.energy_error)) < 0.1
        True
    """

    reversible: ClassVar[bool] = True
    step_size: float | Scalar
    num_leapfrog: int = eqx.field(static=True)
    jitter: float | Scalar | None = None

    def __check_init__(self):
        checks.positive("HMC", "step_size", self.step_size, ndim=0)
        checks.count("HMC", "num_leapfrog", self.num_leapfrog)
        if self.jitter is not None:
            checks.fraction("HMC", "jitter", self.jitter)

    def init(self, energy: AbstractEnergy, x: X) -> HMCState:
        value, gradient = jax.value_and_grad(energy)(x)
        return HMCState(x, value, gradient)

    def refresh(self, energy: AbstractEnergy, state: HMCState) -> HMCState:
        return self.init(energy, state.x)

    def step(self, key: Key, energy: AbstractEnergy, state: HMCState) -> tuple[HMCState, HMCInfo]:
        start, level = normal_like(key, state.x), uniform(key)  # disjoint blocks of one key
        step_size = jittered(key, self.step_size, self.jitter)
        new, end = trajectory(energy, state, start, step_size, self.num_leapfrog)
        kinetic = 0.5 * (squared_norm(end) - squared_norm(start))
        error = (new.energy - state.energy).astype(kinetic.dtype) + kinetic
        # an infinite force anywhere on the way leaves its mark on the momentum, and a NaN stays
        finite = jnp.isfinite(new.energy) & all_finite((new.gradient, end)) & ~jnp.isnan(error)
        acceptance = jnp.where(finite, jnp.exp(jnp.minimum(-error, 0.0)), 0.0)
        state = where(level.astype(acceptance.dtype) < acceptance, new, state)
        return state, HMCInfo(state.energy, acceptance, ~finite, error)


def trajectory(
    energy: AbstractEnergy, state: HMCState, momentum: X, step_size: float | Scalar, num_leapfrog: int
) -> tuple[HMCState, X]:
    """`num_leapfrog` times half a kick, a drift, half a kick: one force a leapfrog -> (end, momentum there)."""

    def leapfrog(carry, _):
        here, momentum = carry
        momentum = add_scaled(momentum, -0.5 * step_size, here.gradient)
        x = add_scaled(here.x, step_size, momentum)
        # the value on the way is not read, but one program for all forces compiles and runs faster than two
        here = HMCState(x, *jax.value_and_grad(energy)(x))
        return (here, add_scaled(momentum, -0.5 * step_size, here.gradient)), None

    (new, momentum), _ = jax.lax.scan(leapfrog, (state, momentum), length=num_leapfrog)
    return new, momentum


def jittered(key: Key, step_size: float | Scalar, jitter: float | Scalar | None) -> float | Scalar:
    """`step_size` itself, or a draw uniform in step_size * (1 -+ jitter), by a number that nothing else reads."""
    if jitter is None:
        return step_size
    (own,) = jax.random.split(key, 1)
    return step_size * (1.0 + jitter * (2.0 * uniform(own) - 1.0))
