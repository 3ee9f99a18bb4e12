"""Long runs of many chains of which only statistics are kept: means, variances and error bars, in one pass.

Source: Welford (1962), Note on a method for calculating corrected sums of squares, doi:10.1080/00401706.1962.10490022;
    Geyer (1992), Practical Markov chain Monte Carlo, doi:10.1214/ss/1177011137, sec. 3.2 (batch means).
What differs: one estimator serves few chains and many. Every chain is cut into the same number of consecutive batches,
    so that there are 32 or more in all (a chain is one batch where there are 32 chains), and the error of a mean is
    the scatter of all batch means around it.
Estimates E[f(x)] for any f, with an error bar that knows autocorrelation: within a batch it is in the batch's mean.
Cost: one evaluation of f every `thin` steps. Memory is a handful of numbers a chain and an output of f, whatever the
number of steps: a million chains of a 2-D energy stay under 1 GiB.
Fails by error bars that are too small where a batch is not many autocorrelation times long, as where few chains sit in
different modes; a start away from equilibrium is a bias, that no error bar knows: give `burn_in`.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from energax.core import AbstractEnergy, AbstractSampler, Chains, Cond, Key, X, checks
from energax.numerics.random import chain_keys
from energax.numerics.tree import where

from .chains import admit, num_chains, one_step, refresh_all, traced

_BATCHES = 32


class Moments(NamedTuple):
    """What a run leaves behind; every tree has the structure of the statistics.

    Args:
        mean: Over all chains and draws.
        variance: Of one draw, over all chains and draws.
        std_error: Of `mean`, autocorrelation included.
        ess: variance / std_error^2: how many independent draws the run was worth.
        chain_mean: The same of every chain, chains on axis 0.
        chain_variance: Of the draws of every chain around its own mean (the divisor is the number of draws).
        acceptance: Averaged over the steps, one number a chain.
        divergences: Steps that met a number that is not finite, one count a chain.
    """

    mean: PyTree[Array]
    variance: PyTree[Array]
    std_error: PyTree[Array]
    ess: PyTree[Array]
    chain_mean: PyTree[Array]
    chain_variance: PyTree[Array]
    acceptance: Float[Array, " chains"]
    divergences: Int[Array, " chains"]


class _Welford(NamedTuple):
    """Running mean of some values, and their sum of squares around it."""

    mean: PyTree[Array]
    squares: PyTree[Array]


class _Tally(NamedTuple):
    """Of every chain: its draws, the mean of the present batch, and the means of whole batches."""

    draws: _Welford
    batch: PyTree[Array]
    batches: _Welford


def first_two(x: X) -> dict[str, X]:
    """x and x^2, the statistics that `moments` keeps when none are named.

    Example:
        >>> {name: value.tolist() for name, value in first_two(jnp.array([3.0])).items()}
        {'x': [3.0], 'x^2': [9.0]}
    """
    return {"x": x, "x^2": jax.tree.map(jnp.square, x)}


def moments(
    key: Key,
    sampler: AbstractSampler,
    energy: AbstractEnergy | Callable,
    chains: Chains,
    num_steps: int,
    *,
    statistics: Callable[[X], PyTree[Array]] = first_two,
    thin: int = 1,
    burn_in: int = 0,
    cond: Cond = None,
) -> tuple[Chains, Moments]:
    """Runs `burn_in` steps, then `num_steps` steps of which every `thin`-th is counted; no trajectory is stored.

    The steps are those of `sample` under the same key.

    Args:
        key: One typed key; it is used up.
        sampler: The kernel.
        energy: An energy, or a plain function of one sample.
        chains: From `init_chains` or an earlier call; refreshed first.
        num_steps: Steps after `burn_in`, a multiple of `thin`; so many that all chains together have 32 draws or more.
        statistics: A function of one sample to floating arrays (any pytree); {"x": x, "x^2": x^2} if not given.
        thin: Steps a draw, >= 1.
        burn_in: Steps that are thrown away, >= 0.
        cond: As in `init_chains`.

    Returns:
        The chains after the last step, and the moments.

    Raises:
        ValueError: as `sample`; `num_steps` is no multiple of `thin` or too small; a statistic is not floating point.

    Example:
        >>> from energax.samplers import MALA, init_chains
        >>> energy = lambda x: 0.5 * jnp.sum(x**2)
        >>> chains = init_chains(MALA(0.5), energy, jnp.zeros((1000, 2)))
        >>> chains, found = moments(jax.random.key(0), MALA(0.5), energy, chains, 50, burn_in=20)
        >>> bool(jnp.all(jnp.abs(found.mean["x^2"] - 1.0) < 4 * found.std_error["x^2"]))
        True
    """
    checks.count("moments", "thin", thin)
    checks.count("moments", "burn_in", burn_in, least=0)
    checks.count("moments", "num_steps", num_steps)
    if num_steps % thin:
        raise ValueError(f"moments.num_steps must be a multiple of thin {thin}; got {num_steps}.")
    energy = admit("moments", key, energy, chains, cond)
    num_draws, batches = int(num_steps) // int(thin), -(-_BATCHES // num_chains(chains))
    if num_draws < batches:
        raise ValueError(
            f"moments.num_steps must be at least {batches * thin} with {num_chains(chains)} chain(s) and thin {thin}, "
            f"for {_BATCHES} batches; got {num_steps}."
        )
    for leaf in jax.tree.leaves(jax.eval_shape(jax.vmap(statistics), chains.states.x)):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise ValueError(f"moments.statistics must return floating arrays; got dtype {leaf.dtype}.")
    return _moments(traced(sampler), key, energy, chains, statistics, num_draws, batches, int(thin), int(burn_in), cond)


@eqx.filter_jit
def _moments(sampler, key, energy, chains, statistics, num_draws, batches, thin, burn_in, cond):
    keys, length = chain_keys(key, num_chains(chains)), num_draws // batches

    def walk(states, counts, first, num):
        def body(carry, index):
            states, (acceptance, divergences) = carry
            states, info = one_step(sampler, keys, index, energy, states, cond)
            return (
                states,
                (acceptance + info.acceptance.astype(jnp.float32), divergences + info.divergent.astype(jnp.int32)),
            ), None

        return jax.lax.scan(body, (states, counts), first + jnp.arange(num))[0]

    def values(states):
        return jax.tree.map(
            lambda leaf: leaf if leaf.dtype == jnp.float64 else leaf.astype(jnp.float32),
            jax.vmap(statistics)(states.x),
        )

    def draw(carry, index):
        states, counts, tally = carry
        states, counts = walk(states, counts, burn_in + index * thin, thin)
        return (states, counts, _add(tally, values(states), index, length, batches)), None

    states = refresh_all(sampler, energy, chains.states, cond)
    none = jnp.zeros(num_chains(chains), jnp.float32), jnp.zeros(num_chains(chains), jnp.int32)
    if burn_in:
        states, _ = walk(states, none, jnp.array(0), burn_in)
    zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(values, states))
    tally = _Tally(_Welford(zero, zero), *((zero, _Welford(zero, zero)) if batches > 1 else ((), _Welford((), ()))))
    (states, counts, tally), _ = jax.lax.scan(draw, (states, none, tally), jnp.arange(num_draws))
    return Chains(states), _pooled(tally, counts, num_draws, batches, thin)


def _add(tally, values, index, length, batches):
    """The tally after one more draw of every chain; what is left behind the last whole batch enters no batch."""
    draws = _welford(tally.draws, values, index + 1)
    if batches == 1:
        return tally._replace(draws=draws)
    place, number = index % length, index // length
    batch = jax.tree.map(lambda b, v: jnp.where(place == 0, v, b + (v - b) / _as(place + 1, b)), tally.batch, values)
    whole = (place == length - 1) & (number < batches)
    return _Tally(draws, batch, where(whole, _welford(tally.batches, batch, number + 1), tally.batches))


def _welford(running, values, number):
    mean = jax.tree.map(lambda m, v: m + (v - m) / _as(number, m), running.mean, values)
    squares = jax.tree.map(lambda s, m, n, v: s + (v - m) * (v - n), running.squares, running.mean, mean, values)
    return _Welford(mean, squares)


def _as(number, like):
    return number.astype(like.dtype)


def _pooled(tally, counts, num_draws, batches, thin):
    """All chains together; a variance over chains is that within them plus that between their means."""
    chains = counts[0].shape[0]
    mean = jax.tree.map(_mean, tally.draws.mean)
    variance = jax.tree.map(partial(_scatter, each=num_draws), *tally.draws)
    squared = jax.tree.map(
        lambda m, s: _scatter(m, s, each=batches) / (chains * batches),
        *(tally.batches if batches > 1 else (tally.draws.mean, jax.tree.map(jnp.zeros_like, tally.draws.mean))),
    )
    return Moments(
        mean,
        variance,
        jax.tree.map(jnp.sqrt, squared),
        jax.tree.map(jnp.divide, variance, squared),
        tally.draws.mean,
        jax.tree.map(lambda s: s / num_draws, tally.draws.squares),
        counts[0] / (num_draws * thin),
        counts[1],
    )


def _mean(leaf):
    """Over chains, in two passes: the first one's rounding, over a million chains, is that of an error bar."""
    rough = jnp.mean(leaf, axis=0)
    return rough + jnp.mean(leaf - rough[None], axis=0)


def _scatter(means, squares, each):
    """Variance of all values, of which every chain holds `each` with this mean and this sum of squares."""
    return (jnp.sum(squares, axis=0) + each * jnp.sum((means - _mean(means)[None]) ** 2, axis=0)) / (
        means.shape[0] * each - 1
    )
