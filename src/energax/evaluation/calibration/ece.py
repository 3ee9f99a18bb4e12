"""Expected calibration error: how far confidence and accuracy lie apart, averaged over bins of confidence.

Source: Naeini, Cooper and Hauskrecht (2015), Obtaining well calibrated probabilities using Bayesian binning,
    doi:10.1609/aaai.v29i1.9602; of the likeliest class: Guo, Pleiss, Sun and Weinberger (2017), On calibration of
    modern neural networks, arXiv:1706.04599, sec. 2; bins of equal mass: Nixon, Dusenberry, Zhang, Jerfel and
    Tran (2019), Measuring calibration in deep learning, arXiv:1904.01685.
Estimates sum over bins of (share of the rows) |accuracy - mean confidence|. Cost: O(n log n). Fails by its bias: a
calibrated model scores above 0 by chance, the more the more bins and the fewer rows (`debiased_ece` does not), and
errors of opposite sign in one bin hide each other.
"""

from typing import Any

import numpy as np

from ..given import as_predictions
from .bins import best, bin_of, sums


def ece(probabilities: Any, labels: Any, *, bins: int = 15, spacing: str = "width") -> float:
    """The expected calibration error of the likeliest class, from 0 to 1.

    Args:
        probabilities: [n, classes], rows that sum to 1, of NumPy, JAX or PyTorch.
        labels: Class numbers, [n].
        bins: How many, >= 1.
        spacing: "width" or "mass" (about as many rows in each).

    Raises:
        ValueError: Rows are no probabilities, labels do not fit, or `bins` or `spacing` is out of range.

    Example:
        >>> sure = np.tile([0.9, 0.1], (10, 1))
        >>> round(ece(sure, np.array([0] * 7 + [1] * 3)), 4)  # says 0.9, is right in 7 of 10
        0.2
    """
    rows, numbers = as_predictions("ece", probabilities, labels)
    return binned_error(*best(rows, numbers), bins, spacing)


def binned_error(confidence: np.ndarray, happened: np.ndarray, bins: int, spacing: str, owner: str = "ece") -> float:
    """sum over bins of |sum of (happened - confidence)| / n."""
    where = bin_of(owner, confidence, bins, spacing)
    return float(np.sum(np.abs(sums(where, happened - confidence, bins))) / len(confidence))
