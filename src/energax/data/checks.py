"""Refusals of the data room: those of `energax.checks`, and its own.

Every message is one sentence that says what must be and what was got; what is wrong with the data themselves is a
`DataError`, what is wrong with a call is a plain `ValueError`.
"""

from typing import Any

import numpy as np

from energax.checks import count as count
from energax.errors import DataError


def number(owner: str, name: str, value: Any, *, low: float, high: float, closed: bool = False) -> float:
    """The float `value`, or ValueError unless it lies in (low, high), or in [low, high) when `closed`."""
    left = "[" if closed else "("
    real = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not real or not (low <= value < high) or (value == low and not closed):
        raise ValueError(f"{owner}.{name} must lie in {left}{low}, {high}); got {value!r}.")
    return float(value)


def choice(owner: str, name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    """Raises ValueError unless `value` is one of `allowed`."""
    if not any(value is one or (type(value) is type(one) and value == one) for one in allowed):
        raise ValueError(f"{owner}.{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}.")


def generator(owner: str, rng: Any) -> None:
    """Raises ValueError unless `rng` is a numpy Generator, as `numpy.random.default_rng(seed)` makes it."""
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"{owner}: rng must be a numpy.random.Generator; got {type(rng).__name__}.")


def points(owner: str, x: Any, dim: int) -> np.ndarray:
    """`x` as float64 `[n, dim]`, or ValueError unless it is a finite real array of that shape."""
    array = np.asarray(x)
    if array.ndim != 2 or array.shape[1] != dim:
        raise ValueError(f"{owner}: x must have shape [n, {dim}]; got shape {array.shape}.")
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{owner}: x must hold real numbers; got dtype {array.dtype}.")
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{owner}: x must be finite; got a non-finite entry in row {first_bad_row(array)}.")
    return array.astype(np.float64)


def rows(owner: str, x: Any, *, least: int = 2) -> None:
    """Raises DataError unless `x` is a real, finite, non-empty array of rank >= 2 with >= `least` rows."""
    if not isinstance(x, np.ndarray):
        raise DataError(f"{owner} must be a numpy array with samples on axis 0; got {type(x).__name__}.")
    if x.dtype.kind not in "fiub":
        raise DataError(f"{owner} must hold real numbers; got dtype {x.dtype}.")
    if x.ndim < 2:
        raise DataError(f"{owner} must have rank >= 2, samples on axis 0; got shape {x.shape}.")
    if x.shape[0] < least or x.size == 0:
        raise DataError(f"{owner} must hold at least {least} non-empty samples; got shape {x.shape}.")
    if x.dtype.kind == "f":
        finite = np.isfinite(x)
        if not finite.all():
            where = tuple(int(i) for i in np.argwhere(~finite)[0])
            raise DataError(f"{owner} must be finite; got {x[where]} at index {where}.")


def first_bad_row(x: np.ndarray) -> int:
    """The first row of `x` [n, ...] that holds a non-finite entry."""
    return int(np.argwhere(~np.isfinite(x))[0][0])
