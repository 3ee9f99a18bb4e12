"""A warm-up that finds mass and step size: Stan's windows over all chains together, then frozen.

Source: Stan Development Team (2024), Stan Reference Manual, MCMC sampling, Automatic parameter tuning (75 fast steps,
    slow windows of 25, 50, 100 ..., 50 fast steps); Hoffman and Gelman (2014), jmlr.org/papers/v15/hoffman14a.html;
    variances by the pairwise update of Chan, Golub and LeVeque (1983), doi:10.1080/00031305.1983.10483115.
What differs: one mass and one step size for all chains, from all of them. The estimate is not drawn to 1e-3, which is
    no scale of the target's: covariances are shrunk to their diagonal by 5 / (n + 5), and a coordinate that has not
    moved keeps the mass that it had. No search for a first step at a window's end: dual averaging makes it.
Leaves nothing invariant while it runs: mass and step are frozen at its end, and what was drawn before is to be thrown
away. Cost: that of its steps. Fails where chains have not left their starts, whose spread is then taken for the
target's, and where one scale does not fit everywhere (funnels).
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Chains, Cond, Key, checks
from energax.numerics.random import chain_keys
from energax.numerics.tree import where

from .adaptation import DualAveraging, with_step_size
from .blackjax import Blackjax
from .chains import admit, num_chains, one_step, refresh_all, traced
from .whitened import Whitened


class Spread(NamedTuple):
    """How many draws there were, their mean, and the sum of squared deviations (or its matrix)."""

    num: Scalar
    mean: Float[Array, " dim"]
    squares: Float[Array, "..."]


def window_warm_up(
    key: Key,
    sampler: AbstractSampler,
    energy: AbstractEnergy | Callable,
    chains: Chains,
    num_steps: int,
    target: float = 0.8,
    cond: Cond = None,
    *,
    dense: bool = False,
) -> tuple[AbstractSampler, Chains]:
    """Finds a mass and a step size -> (the kernel with both frozen, chains).

    Args:
        key: One typed key; it is used up.
        sampler: A kernel with a `step_size`, its first guess. One of blackjax with a mass (`nuts`) comes back with
            `inverse_mass_matrix` set, any other as `Whitened`: `HMC`, `GeneralisedHMC`, `MALA`, `Barker`, `RandomWalk`.
        energy: An energy, or a plain function of one sample.
        chains: From `init_chains` or an earlier call, for `sampler`.
        num_steps: Steps in all, >= 20; some hundreds.
        target: Acceptance to reach, in (0, 1): 0.8 for `nuts`, 0.65 or more for HMC, 0.574 for MALA, 0.4 for Barker,
            0.234 for a walk.
        cond: What the energy is conditioned on, one row a chain.
        dense: Whether to find a whole covariance, for correlated targets of few dimensions, or variances only.

    Raises:
        ValueError: as `warm_up`.

    Example:
        >>> from energax.samplers import HMC, init_chains
        >>> scale = jnp.array([0.1, 10.0])
        >>> energy = lambda x: 0.5 * jnp.sum((x / scale) ** 2)
        >>> chains = init_chains(HMC(0.1, 5), energy, jnp.zeros((16, 2)))
        >>> kernel, chains = window_warm_up(jax.random.key(0), HMC(0.1, 5), energy, chains, 400)
        >>> 50 < float(kernel.scale[1] / kernel.scale[0]) < 200
        True
    """
    checks.count("window_warm_up", "num_steps", num_steps, least=20)
    checks.fraction("window_warm_up", "target", target)
    if not hasattr(sampler, "step_size"):
        raise ValueError(f"window_warm_up: sampler must have a field step_size; got {type(sampler).__name__}.")
    energy = admit("window_warm_up", key, energy, chains, cond)
    flat = jax.eval_shape(lambda xs: ravel_pytree(jax.tree.map(lambda leaf: leaf[0], xs))[0], chains.states.x)
    shape = flat.shape * 2 if dense else flat.shape
    sampler, chains = _begin(sampler, energy, chains, cond, jnp.zeros(shape, flat.dtype))
    rule = traced(DualAveraging(target), jnp.float32)
    step_size, mass, chains = _run(traced(sampler), rule, key, energy, chains, num_steps, cond)
    return with_step_size(_with_mass(sampler, mass), step_size), chains


def stan_windows(num_steps: int) -> tuple[Bool[np.ndarray, " time"], Bool[np.ndarray, " time"]]:
    """Which steps of a warm-up are of a slow window, and which are the last of one.

    Args:
        num_steps: Steps in all, >= 20.

    Example:
        >>> slow, last = stan_windows(1000)
        >>> np.flatnonzero(last).tolist(), int(slow.sum())
        ([99, 149, 249, 449, 949], 875)
    """
    first, final, width = 75, 50, 25
    if num_steps < first + width + final:
        first, final = int(0.15 * num_steps), int(0.1 * num_steps)
        width = num_steps - first - final
    slow, last, start, end = np.zeros(num_steps, bool), np.zeros(num_steps, bool), first, num_steps - final
    slow[start:end] = True
    while start < end:
        start = end if start + 3 * width > end else start + width  # one after which the next has no room goes on
        last[start - 1] = True
        width *= 2
    return slow, last


def _begin(sampler, energy, chains, cond, like):
    """The kernel with a mass of `like`'s shape, and the chains as it keeps them."""
    if isinstance(sampler, Blackjax) and "inverse_mass_matrix" in sampler.parameters:
        given = sampler.parameters["inverse_mass_matrix"]
        return _with_mass(sampler, _shaped(1.0 if given is None else given, like)), chains
    if isinstance(sampler, Whitened):
        scale = jnp.asarray(sampler.scale, like.dtype)
        if scale.ndim == 2 and like.ndim == 1:
            scale = jnp.sqrt(jnp.sum(scale**2, axis=1))
        return Whitened(sampler.kernel, _shaped(scale, like)), chains
    sampler = Whitened(sampler, _shaped(1.0, like))
    return sampler, _anew(sampler, energy, chains.states.x, cond)


def _shaped(mass, like):
    """A number, a vector or a matrix as what `like` is: variances alone where the warm-up is diagonal."""
    mass = jnp.asarray(mass, like.dtype)
    if like.ndim == 1:
        return jnp.broadcast_to(mass, like.shape) if mass.ndim < 2 else jnp.diagonal(mass)
    return mass if mass.ndim == 2 else jnp.diag(jnp.broadcast_to(mass, like.shape[:1]))


def _mass(sampler):
    return sampler.parameters["inverse_mass_matrix"] if isinstance(sampler, Blackjax) else sampler.scale


def _with_mass(sampler, mass):
    if isinstance(sampler, Blackjax):
        parameters = sampler.parameters | {"inverse_mass_matrix": mass}
        return Blackjax(sampler.build, parameters, sampler.options, sampler.adjusted)
    return Whitened(sampler.kernel, mass)


def _anew(sampler, energy, xs, cond):
    return Chains(jax.vmap(lambda x, c: sampler.init(energy if c is None else energy.given(c), x))(xs, cond))


@eqx.filter_jit
def _run(sampler, rule, key, energy, chains, num_steps, cond):
    keys = chain_keys(key, num_chains(chains))
    empty = _empty(_mass(sampler))

    def body(carry, now):
        tuning, mass, spread, states = carry
        index, slow, last = now
        kernel = with_step_size(_with_mass(sampler, mass), rule.step_size(tuning))
        states, info = one_step(kernel, keys, index, energy, states, cond)
        tuning = rule.update(tuning, jnp.mean(info.acceptance))
        rows = jax.vmap(lambda x: ravel_pytree(x)[0])(states.x)
        spread = where(slow, _add(spread, rows.astype(empty.mean.dtype)), spread)

        def close(tuning, mass, spread, states):
            mass = _estimate(sampler, spread, mass)
            renewed = _anew(_with_mass(sampler, mass), energy, states.x, cond).states
            return rule.init(rule.final(tuning)), mass, empty, renewed

        return jax.lax.cond(last, close, lambda *carry: carry, tuning, mass, spread, states), None

    slow, last = stan_windows(num_steps)
    states = refresh_all(sampler, energy, chains.states, cond)
    start = rule.init(sampler.step_size), _mass(sampler), empty, states
    (tuning, mass, _, states), _ = jax.lax.scan(body, start, (jnp.arange(num_steps), jnp.array(slow), jnp.array(last)))
    return rule.final(tuning), mass, Chains(states)


def _empty(mass) -> Spread:
    zeros = jnp.zeros_like(mass, dtype=jnp.float64 if mass.dtype == jnp.float64 else jnp.float32)
    return Spread(jnp.zeros((), zeros.dtype), jnp.zeros(zeros.shape[:1], zeros.dtype), zeros)


def _add(spread: Spread, rows: Float[Array, "chains dim"]) -> Spread:
    """The draws of one more step of all chains, as one batch with its own mean: nothing large is ever squared."""
    mean = jnp.mean(rows, axis=0)
    apart, shift, more = rows - mean[None], mean - spread.mean, rows.shape[0]
    total = spread.num + more
    outer = spread.squares.ndim == 2
    squares = (apart.T @ apart) if outer else jnp.sum(apart**2, axis=0)
    between = (jnp.outer(shift, shift) if outer else shift**2) * (spread.num * more / total)
    return Spread(total, spread.mean + shift * (more / total), spread.squares + squares + between)


def _estimate(sampler, spread, mass):
    """The covariance as the kernel takes it: itself for blackjax, its root for `Whitened`."""
    found = spread.squares / jnp.maximum(spread.num - 1.0, 1.0)
    rooted = not isinstance(sampler, Blackjax)
    if found.ndim == 1:
        found = jnp.sqrt(found) if rooted else found
        return jnp.where(found > 0.0, found.astype(mass.dtype), mass)
    before = mass @ mass.T if rooted else mass
    variances = jnp.diagonal(found)
    trust = spread.num / (spread.num + 5.0)
    whole = trust * found + jnp.diag((1.0 - trust) * variances + jnp.where(variances > 0.0, 0.0, jnp.diagonal(before)))
    return (jnp.linalg.cholesky(whole) if rooted else whole).astype(mass.dtype)
