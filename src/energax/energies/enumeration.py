"""Every state of a few units of two or of q values, in blocks: the ground truth of the discrete energies.

Source: Knuth (2011), The art of computer programming, volume 4A, section 7.2.1.1 (all n-tuples); the block-wise
log-sum-exp is ours. Cost: 2^units (or q^sites) rows, in double precision, at most `BLOCK` of them in memory at once.
Where it fails: each unit more multiplies the work, so more than 2^`MOST_UNITS` states are refused.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from energax.core import checks

MOST_UNITS = 20
BLOCK = 1 << 14


class Enumerated(NamedTuple):
    """Exact averages over all states of exp(-E)."""

    log_z: float
    """log Z in nats."""
    energy: float
    """Mean energy in nats, of the whole system."""
    energy_variance: float
    """Variance of the energy in nats squared: the heat capacity in units of k."""
    entropy: float
    """-sum p log p in nats."""
    mean: np.ndarray
    """Mean of x, in the shape of x."""
    observed: np.ndarray | None
    """Mean of `observe`, None where nothing was asked."""


def enumerate_exact(
    energy: Callable[[Any], Any],
    sites: int,
    states: tuple[float, float] | int = (-1.0, 1.0),
    observe: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Enumerated:
    """Exact averages of any energy of a few discrete sites, by the sum over all states in double precision.

    The floating parameters are widened to double precision; constants that a plain function closes over are not.

    Args:
        energy: Any energy of one sample [sites], or [sites, states] one-hot.
        sites: How many, with at most 2^20 states in all.
        states: The two values of a site; or a number q of one-hot states, >= 2.
        observe: Maps a block of samples [rows, ...] to numbers [rows, ...] whose means are wanted.

    Raises:
        ValueError: Too many states, the energy does not return one number, or called under jit.

    Example:
        >>> from energax.energies import CurieWeiss
        >>> exact = enumerate_exact(CurieWeiss(10, 0.8, 0.1), 10, observe=lambda x: np.abs(x.mean(1)))
        >>> round(exact.log_z, 6), round(float(exact.observed), 6)
        (7.701494, 0.457973)
    """
    checks.count("enumerate_exact", "sites", sites)
    if isinstance(states, tuple):
        few_units("enumerate_exact", sites)
        low, high = states
    else:
        few_states("enumerate_exact", sites, states)
    concrete("enumerate_exact", *jax.tree.leaves(eqx.filter(energy, eqx.is_array)))

    def blocks() -> Iterator[np.ndarray]:
        return state_blocks(sites, low, high) if isinstance(states, tuple) else one_hot_blocks(sites, states)

    values = _energies(energy, blocks())
    log_z = float(np.logaddexp.reduce(-values))
    p = np.exp(-values - log_z)
    mean, observed, start = np.zeros(()), np.zeros(()), 0
    for block in blocks():
        weights = p[start : start + len(block)]
        mean = mean + np.tensordot(weights, block, 1)
        if observe is not None:
            observed = observed + np.tensordot(weights, np.asarray(observe(block), np.float64), 1)
        start += len(block)
    average = float(p @ values)
    variance = float(p @ (values - average) ** 2)
    return Enumerated(log_z, average, variance, average + log_z, mean, None if observe is None else observed)


def _energies(energy: Callable[[Any], Any], blocks: Iterator[np.ndarray]) -> np.ndarray:
    """E of every row of every block, computed in double precision."""
    with jax.enable_x64(True):
        arrays, rest = eqx.partition(energy, eqx.is_inexact_array)
        double = eqx.combine(jax.tree.map(lambda a: jnp.asarray(np.asarray(a, np.float64)), arrays), rest)
        every = eqx.filter_jit(jax.vmap(lambda e, x: e(x), in_axes=(None, 0)))
        found = [np.asarray(every(double, jnp.asarray(block))) for block in blocks]
    if found[0].ndim != 1:
        checks.scalar_energy("enumerate_exact", found[0].shape[1:])
    return np.concatenate(found)


def state_blocks(units: int, low: float = -1.0, high: float = 1.0) -> Iterator[np.ndarray]:
    """All 2^units states as float64 arrays [rows, units], unit 0 turning fastest.

    Args:
        units: How many units, 1 to `MOST_UNITS`.
        low: Value of a unit that is off.
        high: Value of a unit that is on.

    Example:
        >>> [block.tolist() for block in state_blocks(2)]
        [[[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]]]
    """
    total = 1 << units
    for start in range(0, total, BLOCK):
        codes = np.arange(start, min(start + BLOCK, total))[:, None]
        yield np.where((codes >> np.arange(units)) & 1, high, low)


def one_hot_blocks(sites: int, states: int) -> Iterator[np.ndarray]:
    """All states^sites one-hot samples as float64 arrays [rows, sites, states], site 0 turning fastest.

    Args:
        sites: How many sites, >= 1.
        states: How many states a site has, >= 2; states^sites at most 2^20.

    Example:
        >>> [block.argmax(2).tolist() for block in one_hot_blocks(2, 3)]
        [[[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1], [0, 2], [1, 2], [2, 2]]]
    """
    total = states**sites
    kinds = np.eye(states)
    for start in range(0, total, BLOCK):
        codes = np.arange(start, min(start + BLOCK, total))[:, None]
        yield kinds[(codes // states ** np.arange(sites)) % states]


def enumerated_log_sum(blocks: Iterator[np.ndarray], energy: Callable[[np.ndarray], np.ndarray]) -> float:
    """log of the sum of exp(-energy) over all rows of all blocks, in nats.

    Args:
        blocks: States [rows, units].
        energy: Maps a block to its energies [rows], in nats.
    """
    return float(np.logaddexp.reduce([np.logaddexp.reduce(-energy(block)) for block in blocks]))


def few_units(owner: str, units: int) -> None:
    """Raises ValueError unless `units` is in 1..`MOST_UNITS`."""
    if not 1 <= units <= MOST_UNITS:
        raise ValueError(f"{owner}: the units to enumerate must number 1 to {MOST_UNITS}; got {units}.")


def few_states(owner: str, sites: int, states: int) -> None:
    """Raises ValueError unless `states` >= 2 and there are at most 2^`MOST_UNITS` states in all."""
    checks.count(owner, "states", states, least=2)
    if sites * math.log2(states) > MOST_UNITS:
        raise ValueError(f"{owner}: the states to enumerate must number at most 2^{MOST_UNITS}; got {states}^{sites}.")


def concrete(owner: str, *arrays: Any) -> tuple[np.ndarray, ...]:
    """The arrays in NumPy, floating ones in double precision.

    Raises:
        ValueError: One is traced: enumeration runs outside `jax.jit` and has no gradient.
    """
    if any(isinstance(array, jax.core.Tracer) for array in arrays):
        raise ValueError(f"{owner} must be called outside jit, grad and vmap; got traced parameters.")
    plain = (np.asarray(array) for array in arrays)
    return tuple(array if np.issubdtype(array.dtype, np.integer) else array.astype(np.float64) for array in plain)
