"""Temperature scaling: one number that makes a classifier as sure as it should be, and leaves its choices alone.

Source: Guo, Pleiss, Sun and Weinberger (2017), On calibration of modern neural networks, arXiv:1706.04599, sec. 4.2.
What differs: the likelihood is concave in 1 / T, and its one stationary point is found to rounding by Brent's method
(scipy), not by steps of L-BFGS.
Leaves the order of the classes, and so accuracy, as they are. Cost: some 30 passes over n x classes. Fails where the
error differs between classes or regions: one number mends only the mean.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import softmax

from energax.errors import Unbounded

from ..given import as_labelled, as_logits

_HOTTEST, _COLDEST = 1e-6, 1e6  # of 1 / T


@dataclass(frozen=True)
class TemperatureScaling:
    """softmax(f / T).

    Attributes:
        temperature: T > 0; above 1 the classifier was too sure.
    """

    temperature: float

    def probabilities(self, logits: Any) -> np.ndarray:
        """softmax(logits / T), [n, classes]; raises ValueError unless `logits` are finite rows."""
        return softmax(as_logits("TemperatureScaling", logits) / self.temperature, axis=1)


def fit_temperature(logits: Any, labels: Any) -> TemperatureScaling:
    """The temperature of the highest likelihood on held-out rows.

    Args:
        logits: [n, classes], held out from training, of NumPy, JAX or PyTorch.
        labels: Class numbers, [n].

    Raises:
        ValueError: Rows are not finite, or labels do not fit.
        Unbounded: No temperature is best: every row is right (T would be 0) or the logits say no more than chance (T
            would be infinite).

    Example:
        >>> logits = np.tile([np.log(9.0), 0.0], (10, 1))  # says 0.9
        >>> found = fit_temperature(logits, np.array([0] * 7 + [1] * 3))
        >>> found.probabilities(logits)[0].round(4).tolist()
        [0.7, 0.3]
    """
    rows, numbers = as_labelled("fit_temperature", logits, labels)
    rows = rows - rows.max(axis=1, keepdims=True)
    own = np.take_along_axis(rows, numbers[:, None], axis=1)[:, 0].mean()

    def slope(inverse: float) -> float:
        """Of the negative log-likelihood in 1 / T; it rises."""
        return float(np.mean(np.sum(softmax(inverse * rows, axis=1) * rows, axis=1)) - own)

    if own == 0.0:
        raise Unbounded("fit_temperature: logits must be wrong on some row, or T would be 0; got all of them right.")
    if slope(_HOTTEST) >= 0:
        raise Unbounded(
            "fit_temperature: logits must say more of the labels than chance, or T would be infinite; got less."
        )
    if slope(_COLDEST) <= 0:
        raise Unbounded("fit_temperature: a temperature must lie above 1e-6; got logits that want a lower one.")
    return TemperatureScaling(1.0 / float(brentq(slope, _HOTTEST, _COLDEST, xtol=1e-14, rtol=1e-13, maxiter=500)))
