"""Uniform Potts tori by the transfer matrix: log Z with its derivatives, and the law of how many sites share a state.

Source: Kramers and Wannier (1941), doi:10.1103/PhysRev.60.252; Blote and Nightingale (1982), Critical behaviour of the
two-dimensional Potts model with a continuous number of states, doi:10.1016/0378-4371(82)90187-X.
Differs: derivatives in the coupling are carried through the matrix power as a Taylor series about a shifted energy, and
counts as a polynomial with positive terms, so that neither a variance nor a moment comes out of a cancellation.
Cost: states^(3 cols) log2 rows, and states^(3 cols) rows^2 cols for counts. Where it fails: one column more multiplies
the work by states^3, so that more than `MOST_ROWS` states of a row are refused.
"""

import math
from typing import NamedTuple

import numpy as np

from energax.core import checks

Series = tuple[np.ndarray, np.ndarray, np.ndarray]
"""A matrix, its first and half its second derivative."""

MOST_ROWS = 1 << 10
MOST_ROWS_OF_COUNTS = 1 << 8


class Transfer(NamedTuple):
    """The number of equal neighbours B in a torus of weight exp(coupling B)."""

    log_z: float
    """log Z of the whole torus, in nats."""
    mean: float
    """<B>, d log Z / d coupling."""
    variance: float
    """Variance of B, the second derivative."""


def torus_by_transfer(owner: str, rows: int, cols: int, states: int, coupling: float) -> Transfer:
    """log Z of exp(coupling B) and its two derivatives in the coupling.

    Args:
        owner: Who asks, for the message.
        rows: >= 2 (two are joined twice).
        cols: >= 2, with states^cols at most `MOST_ROWS`.
        states: q, >= 2.
        coupling: K in nats, of any sign.

    Example:
        >>> round(torus_by_transfer("me", 3, 3, 3, 0.8).log_z, 10)
        16.7400765317
    """
    along, across = _equal_neighbours(owner, rows, cols, states, coupling, MOST_ROWS)
    # half the bonds along a row before and half after its spins, so that the matrix is symmetric
    bonds = across + 0.5 * (along[:, None] + along[None, :])
    top = float(np.max(coupling * bonds))
    # value, first and half the second derivative; about a likely number of bonds, so that the variance keeps its digits
    centre = 2.0 * cols / (1.0 + (states - 1) * math.exp(-coupling)) if coupling > -700.0 else 0.0
    weight, shifted = np.exp(coupling * bonds - top), bonds - centre
    series = _power((weight, weight * shifted, 0.5 * weight * shifted**2), rows)
    log_scale = series[1] + rows * top
    value, first, second = (float(np.trace(term)) for term in series[0])
    slope = first / value
    return Transfer(math.log(value) + log_scale, slope + rows * centre, 2.0 * second / value - slope * slope)


def counts_by_transfer(owner: str, rows: int, cols: int, states: int, coupling: float) -> np.ndarray:
    """log of the weight of all states with n sites in state 0, n = 0 .. rows cols, in nats.

    Args:
        owner: Who asks, for the message.
        rows: >= 2 (two are joined twice).
        cols: >= 2, with states^cols at most `MOST_ROWS_OF_COUNTS`.
        states: q, >= 2.
        coupling: K in nats, of any sign.

    Example:
        >>> np.exp(counts_by_transfer("me", 2, 2, 2, 0.0)).round(6).tolist()
        [1.0, 4.0, 6.0, 4.0, 1.0]
    """
    along, across = _equal_neighbours(owner, rows, cols, states, coupling, MOST_ROWS_OF_COUNTS)
    hits = np.sum(_row_states(cols, states) == 0, axis=1)
    top = float(np.max(coupling * along)) + max(coupling * cols, 0.0)
    own, step = np.exp(coupling * along - top), np.exp(coupling * across)
    num = len(along)
    # weights[first row, present row, n]
    weights = np.zeros((num, num, rows * cols + 1))
    weights[np.arange(num), np.arange(num), hits] = own
    log_scale = top
    for _ in range(rows - 1):
        moved = np.einsum("anc,nb->abc", weights, step, optimize=True)
        weights = np.zeros_like(moved)
        for n in range(cols + 1):
            weights[:, hits == n, n:] = moved[:, hits == n, : moved.shape[2] - n] * own[hits == n, None]
        size = weights.max()
        weights /= size
        log_scale += top + math.log(size)
    with np.errstate(divide="ignore"):
        return np.log(np.einsum("abc,ab->c", weights, step)) + log_scale


def _equal_neighbours(
    owner: str, rows: int, cols: int, states: int, coupling: float, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Equal neighbours along every state of a row, and across every pair of them."""
    checks.count(owner, "rows", rows, least=2)
    checks.count(owner, "cols", cols, least=2)
    checks.count(owner, "states", states, least=2)
    checks.finite(owner, "coupling", coupling, ndim=0)
    if cols * math.log(states) > math.log(most) + 1e-9:
        raise ValueError(f"{owner}.cols must leave a row at most {most} states; got {states}^{cols}.")
    row = _row_states(cols, states)
    along = np.sum(row == np.roll(row, -1, axis=1), axis=1).astype(np.float64)
    kinds = np.eye(states)[row].reshape(len(row), -1)
    return along, kinds @ kinds.T


def _row_states(cols: int, states: int) -> np.ndarray:
    return np.arange(states**cols)[:, None] // states ** np.arange(cols) % states


def _power(series: Series, exponent: int) -> tuple[Series, float]:
    """The power of a matrix polynomial to second order, over exp of the number that comes with it."""
    if exponent == 1:
        return series, 0.0
    half, log_scale = _power(series, exponent // 2)
    square, log_scale = _times(half, half, 2.0 * log_scale)
    return _times(square, series, log_scale) if exponent % 2 else (square, log_scale)


def _times(a: Series, b: Series, log_scale: float) -> tuple[Series, float]:
    value, first, second = a[0] @ b[0], a[0] @ b[1] + a[1] @ b[0], a[0] @ b[2] + a[1] @ b[1] + a[2] @ b[0]
    size = float(np.max(value))
    return (value / size, first / size, second / size), log_scale + math.log(size)
