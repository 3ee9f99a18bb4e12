"""Temperatures by the conditional effective sample size: each next one costs the particles the same share.

Source: Zhou, Johansen and Aston (2016), Toward automatic model comparison: an adaptive sequential Monte Carlo approach,
doi:10.1080/10618600.2015.1060885, eq. (12) and algorithm 4; on what adapting costs: Beskos, Jasra, Kantas and Thiery
(2016), On the convergence of adaptive sequential Monte Carlo methods, doi:10.1214/15-AAP1113.
Estimates a schedule, by bisection on CESS(s') / N = (sum W v)^2 / sum W v^2, v = exp(E_s - E_{s'}), W the normalised
weights; and log Z on the way, with a bias of the order of 1 / (all particles), since the schedule looked at them:
freeze it and run again with another key (`smc` does) for an estimate without. What differs: several populations share
one schedule, chosen by their mean share; step sizes follow the acceptance in a few moves at each temperature.
Cost: some tens of energies a particle and temperature for the bisection, and eight moves where steps are tuned.
Fails: where the base samples' energies are mostly infinite, no temperature above 0 keeps the share: it is refused. A
pilot that missed a mode chooses a schedule that is too coarse for it.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractPath, AbstractSampler, Key, checks
from energax.samplers import advance, with_step_size
from energax.samplers.chains import traced
from energax.samplers.pairs import Kernel

from . import doors
from .ais import work
from .population import Population, exact_populations, log_z_of, populate, turn

_BISECTIONS = 30
_SETTLE = 40  # moves at s = 0 before the walk, for the step size
_DWELL = 8  # moves at each temperature, for the same
_GAIN = 1.0  # of log step size per unit of acceptance


class Temperatures(NamedTuple):
    """A schedule and what the run that chose it saw, float64 on the host.

    Attributes:
        betas: From 0 to 1 [temperatures].
        step_sizes: Of each move [temperatures - 1]; None for a kernel without, or a pair.
        log_z: log of the mean Zhat of the populations, nats; slightly biased, since the schedule looked at them.
    """

    betas: np.ndarray
    step_sizes: np.ndarray | None
    log_z: float


def adapt_temperatures(
    key: Key,
    path: AbstractPath,
    kernel: Kernel,
    *,
    num_particles: int = 128,
    num_populations: int = 2,
    steps_per_temperature: int = 1,
    conditional_ess: float = 0.9,
    target_acceptance: float = 0.65,
    resampling: str = "systematic",
    threshold: float = 0.5,
    max_temperatures: int = 2000,
) -> Temperatures:
    """Walks populations from the base to the target, each next temperature as far off as `conditional_ess` allows.

    Args:
        key: One typed key.
        path: From a density that can be sampled to the target.
        kernel: As in `smc`; a sampler's step size, if it has one, follows the acceptance.
        num_particles: Of a population, >= 2.
        num_populations: That share the schedule, >= 1.
        steps_per_temperature: Transitions at each temperature, >= 1.
        conditional_ess: Mean share of the particles kept at one step, in (0, 1).
        target_acceptance: What the step size aims at, in (0, 1).
        resampling: As in `smc`.
        threshold: As in `smc`.
        max_temperatures: More are refused, >= 2.

    Raises:
        ValueError: An argument is out of range, or s = 1 is not reached.

    Example:
        >>> from energax.core import GeometricPath
        >>> from energax.energies import Gaussian, standard_normal
        >>> from energax.samplers import MALA
        >>> path = GeometricPath(standard_normal(2), Gaussian(jnp.ones(2), 0.1))
        >>> found = adapt_temperatures(jax.random.key(0), path, MALA(0.5), conditional_ess=0.8)
        >>> 10 < len(found.betas) < 30, bool(found.betas[1] < 0.02)
        (True, True)
    """
    owner = "adapt_temperatures"
    dtype = doors.run(owner, key, path, kernel, num_particles, steps_per_temperature, pairs=True)
    for name, value, least in (("num_populations", num_populations, 1), ("max_temperatures", max_temperatures, 2)):
        checks.count(owner, name, value, least)
    checks.fraction(owner, "conditional_ess", conditional_ess)
    checks.fraction(owner, "target_acceptance", target_acceptance)
    doors.resampling(owner, resampling, threshold)
    kept, target, low = (jnp.asarray(v, dtype) for v in (conditional_ess, target_acceptance, threshold))
    tunes = isinstance(kernel, AbstractSampler) and hasattr(kernel, "step_size")
    start, walk = jax.random.split(key)
    xs = exact_populations(start, path, num_populations, num_particles)
    betas, log_steps, count, log_z = _adapt(
        walk,
        path,
        traced(kernel, dtype),
        xs,
        kept,
        target,
        low,
        steps_per_temperature,
        resampling,
        max_temperatures,
        tunes,
    )
    betas = np.asarray(betas, np.float64)[: int(count)]
    if betas[-1] != 1.0:
        raise ValueError(
            f"{owner}.max_temperatures must let the schedule reach 1; {max_temperatures} reach {betas[-1]:g}. Lower "
            "conditional_ess, or choose a base inside the target's support."
        )
    steps = np.exp(np.asarray(log_steps, np.float64)[: int(count) - 1]) if tunes else None
    return Temperatures(betas, steps, float(log_z))


@eqx.filter_jit
def _adapt(key, path, kernel, xs, kept, target, threshold, num_steps, resampling, most, tunes):
    """-> (betas [most], log step sizes [most], temperatures, log Zhat); what lies beyond the count is 0."""
    dtype = kept.dtype
    populations = jax.vmap(lambda x: populate(kernel, path, x, dtype))(xs)
    num = populations.log_z.shape[0]
    log_step = jnp.log(kernel.step_size) if tunes else jnp.zeros((), dtype)

    def at(log_step):
        return with_step_size(kernel, jnp.exp(log_step)) if tunes else kernel

    def settle(key, energy, populations, log_step, length):
        """Moves that follow the acceptance -> (populations, log step size); weights stay as they are."""

        def body(carry, index):
            chains, log_step = carry
            keys = jax.random.split(jax.random.fold_in(key, index), num)
            chains, info = jax.vmap(lambda k, c: advance(k, at(log_step), energy, c, num_steps))(keys, chains)
            return (chains, log_step + _GAIN * (jnp.mean(info.acceptance).astype(dtype) - target)), None

        if not tunes:
            return populations, log_step
        (chains, log_step), _ = jax.lax.scan(body, (populations.chains, log_step), jnp.arange(length))
        return populations._replace(chains=chains), log_step

    settle_key, key = jax.random.split(key)
    populations, log_step = settle(settle_key, path.at(0.0), populations, log_step, _SETTLE)

    def step(carry):
        populations, log_step, betas, steps, count = carry
        here = betas[count - 1]
        there = next_temperature(path, here, populations, kept)
        go, stay = jax.random.split(jax.random.fold_in(key, count))
        populations, _ = jax.vmap(
            lambda k, p: turn(k, at(log_step), path, here, there, p, num_steps, resampling, threshold)
        )(jax.random.split(go, num), populations)
        populations, log_step = settle(stay, path.at(there), populations, log_step, _DWELL)
        return populations, log_step, betas.at[count].set(there), steps.at[count - 1].set(log_step), count + 1

    zeros = jnp.zeros(most, dtype)
    carry = populations, log_step, zeros, zeros, jnp.ones((), jnp.int32)
    carry = jax.lax.while_loop(lambda c: (c[2][c[4] - 1] < 1.0) & (c[4] < most), step, carry)
    populations, _, betas, steps, count = carry
    log_zs = jax.vmap(log_z_of)(populations)
    return betas, steps, count, jax.nn.logsumexp(log_zs) - jnp.log(jnp.asarray(num, dtype))


def next_temperature(path: AbstractPath, here: Scalar, populations: Population, kept: Scalar) -> Scalar:
    """The farthest s' in (here, 1] at which the mean conditional share of the populations is still `kept`."""

    def share(there):
        gained = jax.vmap(lambda p: work(path, here, there, p.chains.states.x))(populations)
        return jnp.mean(jax.vmap(conditional_share)(populations.log_weights, gained))

    def halve(_, ends):
        low, high = ends
        middle = 0.5 * (low + high)
        good = share(middle) >= kept
        return jnp.where(good, middle, low), jnp.where(good, high, middle)

    one = jnp.ones_like(here)
    low, _ = jax.lax.fori_loop(0, _BISECTIONS, halve, (here, one))
    return jnp.where(share(one) >= kept, one, low)


def conditional_share(log_weights: Float[Array, " particles"], gained: Float[Array, " particles"]) -> Scalar:
    """CESS / N = (sum W v)^2 / sum W v^2 for normalised W, in (0, 1]."""
    share = jax.nn.log_softmax(log_weights)
    alive = log_weights > -jnp.inf  # a dead particle may lie where both energies are infinite
    first = jnp.where(alive, share + gained, -jnp.inf)
    second = jnp.where(alive, share + 2.0 * gained, -jnp.inf)
    return jnp.exp(2.0 * jax.nn.logsumexp(first) - jax.nn.logsumexp(second))
