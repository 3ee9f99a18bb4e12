"""One population of weighted particles and one turn of it: weigh, resample if the weights have grown uneven, move.

Source: Del Moral, Doucet and Jasra (2006), Sequential Monte Carlo samplers, doi:10.1111/j.1467-9868.2006.00553.x,
section 3.1 (the algorithm box).
Leaves E[Zhat] = Z for every number of particles: at a resampling the mean weight goes into log Z, and all weights start
again from 1. Cost: beside the moves, one resampling of N indices and one gather.
Fails: nothing is refused here; smc.py has the door.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractPath, Chains, Key, X
from energax.numerics.logspace import effective_sample_size, log_mean_exp
from energax.numerics.random import chain_keys
from energax.numerics.resampling import SCHEMES
from energax.samplers.pairs import Kernel

from .ais import add_work
from .transitions import enter, gain_before, move


class Population(NamedTuple):
    """Particles, their log weights since the last resampling [particles], log Zhat up to there [nats]."""

    chains: Chains
    log_weights: Float[Array, " particles"]
    log_z: Scalar


class Turned(NamedTuple):
    """What a turn tells: effective share of particles before resampling, whether it was done, mean acceptance."""

    ess: Scalar
    resampled: Scalar
    acceptance: Scalar


def populate(kernel: Kernel, path: AbstractPath, xs: X, dtype: jnp.dtype) -> Population:
    """A population of equal weights at exact base samples `xs` (particles on axis 0)."""
    zeros = jnp.zeros(jax.tree.leaves(xs)[0].shape[0], dtype)
    return Population(enter(kernel, path.at(0.0), xs), zeros, jnp.zeros((), dtype))


def turn(
    key: Key,
    kernel: Kernel,
    path: AbstractPath,
    here: Scalar,
    there: Scalar,
    population: Population,
    num_steps: int,
    resampling: str,
    threshold: Scalar,
) -> tuple[Population, Turned]:
    """From temperature `here` to `there`."""
    pick, walk = jax.random.split(key)
    gained = gain_before(kernel, path, here, there, population.chains.states.x)
    population = population._replace(log_weights=add_work(population.log_weights, gained))
    share = effective_sample_size(population.log_weights) / population.log_weights.shape[0]
    low = share < threshold
    population = jax.lax.cond(low, lambda p: resampled(pick, p, resampling), lambda p: p, population)
    moved = move(walk, kernel, path, here, there, population.chains, num_steps)
    population = population._replace(chains=moved.chains, log_weights=add_work(population.log_weights, moved.gained))
    return population, Turned(share, low.astype(share.dtype), moved.acceptance.astype(share.dtype))


def resampled(key: Key, population: Population, resampling: str) -> Population:
    """Particles drawn in proportion to their weights, which start again from 1; the mean weight goes into log Z."""
    ancestors = SCHEMES[resampling](key, population.log_weights)
    chains = jax.tree.map(lambda leaf: leaf[ancestors], population.chains)
    log_z = population.log_z + log_mean_exp(population.log_weights)
    return Population(chains, jnp.zeros_like(population.log_weights), log_z)


def log_z_of(population: Population) -> Scalar:
    """log Zhat of a population, nats."""
    return population.log_z + log_mean_exp(population.log_weights)


def exact_populations(key: Key, path: AbstractPath, num_populations: int, num_particles: int) -> X:
    """Exact base samples, populations on axis 0 and particles on axis 1."""
    xs = jax.vmap(path.base.sample)(chain_keys(key, num_populations * num_particles))
    return jax.tree.map(lambda leaf: leaf.reshape(num_populations, num_particles, *leaf.shape[1:]), xs)
