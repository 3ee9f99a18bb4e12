"""The ladder of parallel tempering: inverse temperatures of equal swap rejection, and how many of them are wanted.

Source: Syed et al. (2022), Non-reversible parallel tempering, arXiv:1905.02939, sections 4 and 5
    (communication barrier, schedule of equal increments, rate of round trips).
What differs: the inverse of the barrier is interpolated, by a monotone cubic (Fritsch and Carlson 1980).
Estimates Lambda(beta), the sum of the rejection rates from the hot end up to beta, from the chances of swaps told by a
pilot of growing rounds, and sets the ladder at equal steps of it. The ends stay. The pilot is thrown away and the
ladder frozen: a ladder that follows the chain leaves nothing invariant.
Cost: the sampler's own, for the steps of the pilot.
Fails while a pair never swaps: its rejection of 1 says that the barrier is higher, but not where; add levels.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.interpolate import PchipInterpolator

from energax.core import AbstractEnergy, Chains, Cond, Key, checks
from energax.numerics.random import chain_keys

from .chains import admit, num_chains, one_step, refresh_all, traced
from .parallel_tempering import ParallelTempering

LEAST_REJECTION = 1e-3
"""A pair that always swaps still gets this much of the barrier, so that no two levels fall together."""


class Ladder(NamedTuple):
    """What the pilot's last round found, under the ladder that it ran with.

    Attributes:
        betas: That ladder, 1 first.
        rejection: Share of refused swaps by pair of neighbours, in [0, 1].
        barrier: Lambda, their sum: what the ladder must cross, whatever the number of its levels.
        round_trip_rate: Round trips a step of a chain, were swaps independent: 1 / (2 + 2 sum r / (1 - r)).
        num_replicas: The number of levels that spends least work a round trip, about 2 Lambda + 1 (rejection 1/2).
    """

    betas: Float[Array, " replicas"]
    rejection: Float[Array, " pairs"]
    barrier: float
    round_trip_rate: float
    num_replicas: int


def adapt_ladder(
    key: Key,
    sampler: ParallelTempering,
    energy: AbstractEnergy | Callable,
    chains: Chains,
    num_steps: int,
    num_rounds: int = 6,
    cond: Cond = None,
) -> tuple[ParallelTempering, Chains, Ladder]:
    """Runs a pilot of `num_rounds` rounds, each twice as long as the last, and moves the ladder after all but the last.

    Args:
        key: One typed key; it is used up.
        sampler: Parallel tempering with a first guess of the ladder; its ends and its number of levels are kept.
        energy: An energy, or a plain function of one sample.
        chains: From `init_chains` with this sampler, or an earlier call; refreshed first.
        num_steps: Steps of the first round, >= 4 (both kinds of turns must fall in their second half).
        num_rounds: Rounds, >= 2.
        cond: What the energy is conditioned on, one row a chain.

    Returns:
        The sampler with its ladder frozen (step sizes a level move along: log h is linear in Lambda between levels),
        the chains, and what the last round found under that ladder.

    Raises:
        ValueError: as `advance`; `sampler` is not `ParallelTempering`; a count is too small.

    Example:
        >>> from energax.samplers import MALA, init_chains
        >>> energy = lambda x: 0.5 * jnp.sum(x**2)
        >>> sampler = ParallelTempering(MALA(0.5), jnp.array([1.0, 0.9, 0.1]))
        >>> chains = init_chains(sampler, energy, jnp.zeros((64, 4)))
        >>> sampler, chains, ladder = adapt_ladder(jax.random.key(0), sampler, energy, chains, 20)
        >>> bool(abs(ladder.rejection[0] - ladder.rejection[1]) < 0.1)
        True
    """
    if not isinstance(sampler, ParallelTempering):
        raise ValueError(f"adapt_ladder.sampler must be ParallelTempering; got {type(sampler).__name__}.")
    checks.count("adapt_ladder", "num_steps", num_steps, least=4)
    checks.count("adapt_ladder", "num_rounds", num_rounds, least=2)
    energy = admit("adapt_ladder", key, energy, chains, cond)
    rejection = np.zeros(0)
    for turn, part in enumerate(jax.random.split(key, num_rounds)):
        if turn:
            sampler = _moved(sampler, rejection)
        chains, found = _pilot(traced(sampler), part, energy, chains, jnp.asarray(num_steps * 2**turn), cond)
        rejection = np.asarray(found, np.float64)
    return sampler, chains, _ladder(sampler, rejection)


def equal_steps(
    betas: Float[np.ndarray, " replicas"], rejection: Float[np.ndarray, " pairs"]
) -> Float[np.ndarray, " replicas"]:
    """The ladder of as many levels between the same ends that cuts the barrier into equal parts.

    Args:
        betas: Inverse temperatures, decreasing.
        rejection: Share of refused swaps between neighbours, in [0, 1].

    Example:
        >>> equal_steps(np.array([1.0, 0.5, 0.0]), np.array([0.2, 0.2])).tolist()
        [1.0, 0.5, 0.0]
    """
    hottest_first = np.asarray(betas, np.float64)[::-1]
    barrier = _barrier(rejection)
    ladder = PchipInterpolator(barrier, hottest_first)(np.linspace(0.0, barrier[-1], len(barrier)))
    ladder[[0, -1]] = hottest_first[[0, -1]]  # as given, and not to rounding
    return ladder[::-1]


def _barrier(rejection: np.ndarray) -> np.ndarray:
    """Lambda at every level, hottest first."""
    return np.concatenate([[0.0], np.cumsum(np.maximum(rejection[::-1], LEAST_REJECTION))])


def _moved(sampler: ParallelTempering, rejection: np.ndarray) -> ParallelTempering:
    new = jnp.asarray(equal_steps(np.asarray(sampler.betas), rejection), sampler.betas.dtype)
    sampler = eqx.tree_at(lambda s: s.betas, sampler, new)
    if sampler.step_sizes is None:
        return sampler
    barrier, logs = _barrier(rejection), np.log(np.asarray(sampler.step_sizes, np.float64))
    steps = np.exp(np.interp(np.linspace(0.0, barrier[-1], len(barrier)), barrier, logs[::-1]))[::-1]
    return eqx.tree_at(lambda s: s.step_sizes, sampler, jnp.asarray(steps, sampler.step_sizes.dtype))


def _ladder(sampler: ParallelTempering, rejection: np.ndarray) -> Ladder:
    barrier = float(rejection.sum())
    with np.errstate(divide="ignore"):
        rate = float(1.0 / (2.0 + 2.0 * np.sum(rejection / (1.0 - rejection))))
    return Ladder(sampler.betas, jnp.asarray(rejection, sampler.betas.dtype), barrier, rate, round(2.0 * barrier) + 1)


@eqx.filter_jit
def _pilot(sampler, key, energy, chains, num_steps, cond):
    """`num_steps` steps -> (chains, share of refused swaps by pair), over the second half of the steps."""
    keys = chain_keys(key, num_chains(chains))

    def body(index, carry):
        states, accepted, attempts = carry
        states, info = one_step(sampler, keys, index, energy, states, cond)
        late = (index >= num_steps // 2).astype(accepted.dtype)
        accepted = accepted + late * jnp.sum(info.swap_acceptance, 0).astype(accepted.dtype)
        attempts = attempts + late * jnp.sum(info.attempted.astype(attempts.dtype), 0)
        return states, accepted, attempts

    nothing = jnp.zeros(sampler.betas.shape[0] - 1, sampler.betas.dtype)
    start = refresh_all(sampler, energy, chains.states, cond), nothing, nothing
    states, accepted, attempts = jax.lax.fori_loop(0, num_steps, body, start)  # a traced length: rounds share a compile
    return Chains(states), 1.0 - accepted / attempts
