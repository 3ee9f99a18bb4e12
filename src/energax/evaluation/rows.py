"""What the sample statistics share at the door: rows of numbers, equal counts, errors by leaving groups out."""

import math
from collections.abc import Callable

import numpy as np

from energax.core import checks


def as_rows(owner: str, name: str, x: np.ndarray, *, least: int = 2) -> np.ndarray:
    """`x` as float64 [n, dim]; raises ValueError unless it holds >= `least` finite samples."""
    checks.samples(owner, name, x, least=least)
    array = np.asarray(x, np.float64)
    return array.reshape(len(array), -1)


def same_width(owner: str, **arrays: np.ndarray) -> None:
    """Raises ValueError unless all arrays have as many columns."""
    widths = {name: array.shape[1] for name, array in arrays.items()}
    if len(set(widths.values())) > 1:
        raise ValueError(
            f"{owner}: samples must have one width; got {', '.join(f'{k} {v}' for k, v in widths.items())}."
        )


def picked(rng: np.random.Generator, x: np.ndarray, num: int) -> np.ndarray:
    """`num` rows without replacement, in random order."""
    return x[rng.permutation(len(x))[:num]]


def jackknife_error(statistic: Callable[..., float], *arrays: np.ndarray, groups: int = 10) -> float:
    """Standard error of `statistic(*arrays)` by leaving out one of `groups` equal parts of every array at a time.

    Source: Quenouille (1956); Tukey (1958); the grouped form as in Efron and Tibshirani (1993), An introduction to the
    bootstrap, section 11.5. The bootstrap itself draws rows twice, which adds a spurious nearness to distances.
    """
    groups = min(groups, *(len(array) for array in arrays))
    owners = [np.arange(len(array)) % groups for array in arrays]
    left_out = [
        statistic(*(array[own != group] for array, own in zip(arrays, owners, strict=True))) for group in range(groups)
    ]
    return math.sqrt((groups - 1) * float(np.var(left_out)))
