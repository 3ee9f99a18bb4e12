"""Bins of predicted probabilities: of equal width, or of equal mass."""

import numpy as np

from energax.core import checks
from energax.errors import ConfigError, did_you_mean

SPACINGS = ("width", "mass")


def bin_of(owner: str, values: np.ndarray, bins: int, spacing: str) -> np.ndarray:
    """The number of the bin that each probability lies in, [n], from 0 to bins - 1; values alone decide.

    Args:
        owner: The function that asks.
        values: Probabilities, [n].
        bins: How many, >= 1.
        spacing: "width": (k / bins, (k + 1) / bins], with 0 in the first; "mass": between quantiles of the values,
            equal ones together, so that some bins may be empty.

    Raises:
        ConfigError: `spacing` is neither.
        ValueError: `bins` is no integer >= 1.
    """
    checks.count(owner, "bins", bins)
    if spacing not in SPACINGS:
        raise ConfigError(
            f"{owner}.spacing must be one of {', '.join(SPACINGS)}; got {spacing!r}.{did_you_mean(spacing, SPACINGS)}"
        )
    if spacing == "width":
        return np.clip(np.ceil(values * bins).astype(int) - 1, 0, bins - 1)
    edges = np.quantile(values, np.arange(1, bins) / bins)
    return np.searchsorted(edges, values, side="left")


def sums(numbers: np.ndarray, values: np.ndarray, bins: int) -> np.ndarray:
    """The sum of `values` over the rows of each bin, [bins]."""
    return np.bincount(numbers, values, minlength=bins)


def best(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(probability of the likeliest class, 1 where it is the right one and 0 elsewhere), each [n]."""
    return probabilities.max(axis=1), (probabilities.argmax(axis=1) == labels).astype(np.float64)
