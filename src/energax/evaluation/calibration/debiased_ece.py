"""The squared calibration error without the bias of bins: a calibrated model scores 0 on average, whatever n and bins.

Source: Kumar, Liang and Ma (2019), Verified uncertainty calibration, arXiv:1909.10155, sec. 5 (the debiased
    estimator); as a U-statistic with its null: Widmann, Lindsten and Zachariah (2019), Calibration tests in multi-class
    classification, arXiv:1910.11385.
What differs: the variance that is taken away is that of (right - confidence), not of right alone, whose value is too
large by the spread of confidences in a bin; so the mean over labels is exactly the squared error of the bins' means.
Estimates sum over bins of (share) (mean of right - confidence)^2 by products of different rows. Cost: O(n log n).
Fails to be positive: it must fall below 0 about as often as above for a calibrated model; bins of one row say nothing;
and a difference that changes its sign within a bin is not seen.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..given import as_predictions
from .bins import best, bin_of, sums


@dataclass(frozen=True)
class DebiasedECE:
    """The squared error, and how far from 0 chance alone takes it.

    Attributes:
        squared: Mean over bins of the squared difference, without bias; of either sign.
        null_error: Its standard deviation if the model is calibrated, exact given the confidences.
    """

    squared: float
    null_error: float

    @property
    def sigma(self) -> float:
        """How many such standard deviations above 0; NaN where all confidences are 0 or 1."""
        return self.squared / self.null_error if self.null_error > 0 else math.nan


def debiased_ece(probabilities: Any, labels: Any, *, bins: int = 15, spacing: str = "mass") -> DebiasedECE:
    """The debiased squared calibration error of the likeliest class.

    Args:
        probabilities: [n, classes], rows that sum to 1, of NumPy, JAX or PyTorch.
        labels: Class numbers, [n].
        bins: How many, >= 1.
        spacing: "width" or "mass" (about as many rows in each).

    Raises:
        ValueError: Rows are no probabilities, labels do not fit, or `bins` or `spacing` is out of range.

    Example:
        >>> sure = np.tile([0.9, 0.1], (10, 1))
        >>> found = debiased_ece(sure, np.array([0] * 7 + [1] * 3), bins=1)
        >>> round(found.squared, 4), round(found.null_error, 4)  # 0.2^2 less the variance 0.21 / 9
        (0.0167, 0.0134)
    """
    rows, numbers = as_predictions("debiased_ece", probabilities, labels)
    confidence, right = best(rows, numbers)
    where = bin_of("debiased_ece", confidence, bins, spacing)
    rest, spread = right - confidence, confidence * (1 - confidence)
    num = np.bincount(where, minlength=bins).astype(np.float64)
    several = num > 1
    pairs = np.where(several, num * (num - 1), 1.0)
    products = sums(where, rest, bins) ** 2 - sums(where, rest**2, bins)
    variance = 2.0 * (sums(where, spread, bins) ** 2 - sums(where, spread**2, bins)) / pairs**2
    share = np.where(several, num / len(rest), 0.0)
    return DebiasedECE(float(share @ (products / pairs)), math.sqrt(max(0.0, float(share**2 @ variance))))
