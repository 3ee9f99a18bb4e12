"""Class-wise calibration error: every class's probability against how often that class comes, averaged over classes.

Source: Kull, Perello-Nieto, Kangsepp, Silva Filho, Song and Flach (2019), Beyond temperature scaling, arXiv:1910.12656,
    sec. 2; also the static calibration error of Nixon et al. (2019), arXiv:1904.01685.
What differs: nothing.
Estimates the mean over classes of the expected calibration error of p_k against "the class is k". Cost: O(n classes).
Fails with many classes: most probabilities are near 0, where every model is right, and the mean is small for all.
"""

from typing import Any

import numpy as np

from ..given import as_predictions
from .ece import binned_error


def classwise_ece(probabilities: Any, labels: Any, *, bins: int = 15, spacing: str = "width") -> float:
    """The class-wise expected calibration error, from 0 to 1.

    Args:
        probabilities: [n, classes], rows that sum to 1, of NumPy, JAX or PyTorch.
        labels: Class numbers, [n].
        bins: How many, >= 1.
        spacing: "width" or "mass" (about as many rows in each).

    Raises:
        ValueError: Rows are no probabilities, labels do not fit, or `bins` or `spacing` is out of range.

    Example:
        >>> sure = np.tile([0.9, 0.1], (10, 1))
        >>> round(classwise_ece(sure, np.array([0] * 7 + [1] * 3)), 4)
        0.2
    """
    rows, numbers = as_predictions("classwise_ece", probabilities, labels)
    errors = [binned_error(p, (numbers == k) * 1.0, bins, spacing, "classwise_ece") for k, p in enumerate(rows.T)]
    return float(np.mean(errors))
