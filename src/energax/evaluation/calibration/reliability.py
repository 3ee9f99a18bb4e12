"""The reliability diagram: accuracy against confidence, with the interval that the number of rows allows.

Source: Murphy and Winkler (1977), Reliability of subjective probability forecasts of precipitation and temperature,
    doi:10.2307/2346866; DeGroot and Fienberg (1983), doi:10.2307/2987588; the interval: Clopper and Pearson (1934),
    doi:10.1093/biomet/26.4.404.
What differs: nothing; the interval covers at least as often as it says, for rows of one accuracy.
Cost: O(n log n). Fails where bins hide a difference that changes its sign, and by many bins: of 15 intervals of 95 %
one is expected to miss.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import beta

from energax.core import checks

from ..given import as_predictions
from .bins import best, bin_of, sums


@dataclass(frozen=True)
class Reliability:
    """The bins that hold rows, by rising confidence.

    Attributes:
        confidence: Mean probability of the likeliest class.
        accuracy: Share in which it was the right one.
        low: Lower end of the interval of `accuracy`.
        high: Upper end.
        num: Rows.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    low: np.ndarray
    high: np.ndarray
    num: np.ndarray


def reliability(
    probabilities: Any, labels: Any, *, bins: int = 15, spacing: str = "width", level: float = 0.95
) -> Reliability:
    """Accuracy and confidence of the likeliest class, bin by bin.

    Args:
        probabilities: [n, classes], rows that sum to 1, of NumPy, JAX or PyTorch.
        labels: Class numbers, [n].
        bins: How many, >= 1.
        spacing: "width" or "mass" (about as many rows in each).
        level: Of the intervals, in (0, 1).

    Raises:
        ValueError: Rows are no probabilities, labels do not fit, or another argument is out of range.

    Example:
        >>> found = reliability(np.tile([0.9, 0.1], (10, 1)), np.array([0] * 7 + [1] * 3))
        >>> [float(part[0].round(3)) for part in (found.confidence, found.accuracy, found.low, found.high)]
        [0.9, 0.7, 0.348, 0.933]
    """
    rows, numbers = as_predictions("reliability", probabilities, labels)
    checks.fraction("reliability", "level", level)
    confidence, right = best(rows, numbers)
    where = bin_of("reliability", confidence, bins, spacing)
    num = np.bincount(where, minlength=bins)
    kept = num > 0
    num, hits, said = num[kept], sums(where, right, bins)[kept], sums(where, confidence, bins)[kept]
    tail, misses = 0.5 * (1 - level), num - hits
    low = np.where(hits > 0, beta.ppf(tail, np.maximum(hits, 1), misses + 1), 0.0)
    high = np.where(misses > 0, beta.ppf(1 - tail, hits + 1, np.maximum(misses, 1)), 1.0)
    return Reliability(said / num, hits / num, low, high, num)
