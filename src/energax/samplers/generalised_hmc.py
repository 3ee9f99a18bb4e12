"""Hamiltonian Monte Carlo that keeps part of its momentum from step to step.

Source: Horowitz (1991), A generalized guided Monte Carlo algorithm, doi:10.1016/0370-2693(91)90812-5;
    Neal (2011), MCMC using Hamiltonian dynamics, arXiv:1206.1901, sec. 5.3.
What differs: a trajectory that ends at, or passes through, a number that is not finite is rejected, and the chain
    flagged `divergent`. A chain's first step draws its whole momentum. The mass is the identity: `Whitened` makes
    another.
Leaves p(x, p) ~ exp(-E(x) - |p|^2 / 2) exactly invariant: the refresh keeps p's law, and trajectory, test and change of
sign keep the joint one. Not in detailed balance, so that it can move on in one direction. Cost: `num_leapfrog`
gradients a step. Fails where more than some steps in a hundred are rejected: each sends the chain back on its way.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Key, X, checks
from energax.numerics.random import uniform
from energax.numerics.tree import add_scaled, all_finite, normal_like, scaled, squared_norm, where

from .hmc import HMCState, jittered, trajectory


class GeneralisedHMCState(NamedTuple):
    """Where the chain is, with E(x) and grad E(x), how it moves, and whether it has moved yet.

    `refresh` renews energy and gradient, and keeps the momentum.
    """

    x: X
    energy: Scalar
    gradient: X
    momentum: X
    started: Bool[Array, ""]


class GeneralisedHMCInfo(NamedTuple):
    """Energy after the step [nats], probability of acceptance, whether the path left the finite, its error in H."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]
    energy_error: Scalar


class GeneralisedHMC(AbstractSampler):
    """p <- persistence p + sqrt(1 - persistence^2) xi, then a trajectory, accepted or met by p <- -p where it began.

    With one leapfrog a step it is underdamped Langevin dynamics with a Metropolis test, its friction
    -log(persistence) / step_size.

    Args:
        step_size: Length of one leapfrog, in the units of x, > 0.
        num_leapfrog: Leapfrogs a step, >= 1; one to a few.
        persistence: Share of the momentum that a step keeps, in (0, 1); `HMC` keeps none.
        jitter: As in `HMC`.

    Raises:
        ValueError: `step_size` is not a positive number, `num_leapfrog` not an integer >= 1, or `persistence` or
            `jitter` outside (0, 1).

    Example:
        >>> from energax.core import FunctionEnergy
        >>> energy = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))
        >>> sampler = GeneralisedHMC(0.2, 1, persistence=0.9)
        >>> state, info = sampler.step(jax.random.key(0), energy, sampler.init(energy, jnp.zeros(3)))
        >>> abs(float(info.energy_error)) < 0.1
        True
    """

    step_size: float | Scalar
    num_leapfrog: int = eqx.field(default=1, static=True)
    persistence: float | Scalar = 0.9
    jitter: float | Scalar | None = None

    def __check_init__(self):
        checks.positive("GeneralisedHMC", "step_size", self.step_size, ndim=0)
        checks.count("GeneralisedHMC", "num_leapfrog", self.num_leapfrog)
        checks.fraction("GeneralisedHMC", "persistence", self.persistence)
        if self.jitter is not None:
            checks.fraction("GeneralisedHMC", "jitter", self.jitter)

    def init(self, energy: AbstractEnergy, x: X) -> GeneralisedHMCState:
        value, gradient = jax.value_and_grad(energy)(x)
        return GeneralisedHMCState(x, value, gradient, jax.tree.map(jnp.zeros_like, x), jnp.array(False))

    def refresh(self, energy: AbstractEnergy, state: GeneralisedHMCState) -> GeneralisedHMCState:
        value, gradient = jax.value_and_grad(energy)(state.x)
        return state._replace(energy=value, gradient=gradient)

    def step(
        self, key: Key, energy: AbstractEnergy, state: GeneralisedHMCState
    ) -> tuple[GeneralisedHMCState, GeneralisedHMCInfo]:
        noise, level = normal_like(key, state.x), uniform(key)  # disjoint blocks of one key
        step_size = jittered(key, self.step_size, self.jitter)
        kept = jnp.where(state.started, jnp.asarray(self.persistence, jnp.float32), 0.0)  # a start has no momentum yet
        start = add_scaled(scaled(kept, state.momentum), jnp.sqrt((1.0 - kept) * (1.0 + kept)), noise)
        here = HMCState(state.x, state.energy, state.gradient)
        new, end = trajectory(energy, here, start, step_size, self.num_leapfrog)
        kinetic = 0.5 * (squared_norm(end) - squared_norm(start))
        error = (new.energy - state.energy).astype(kinetic.dtype) + kinetic
        finite = jnp.isfinite(new.energy) & all_finite((new.gradient, end)) & ~jnp.isnan(error)
        acceptance = jnp.where(finite, jnp.exp(jnp.minimum(-error, 0.0)), 0.0)
        # the proposal is (x', -p'), its own inverse; after the test p changes sign, whatever the outcome was
        back = jax.tree.map(jnp.negative, start)
        here, momentum = where(level.astype(acceptance.dtype) < acceptance, (new, end), (here, back))
        state = GeneralisedHMCState(here.x, here.energy, here.gradient, momentum, jnp.array(True))
        return state, GeneralisedHMCInfo(state.energy, acceptance, ~finite, error)
