"""Isotonic regression of every class's probability on whether the class came, and then the rows made to sum to 1.

Source: Zadrozny and Elkan (2002), Transforming classifier scores into accurate multiclass probability estimates,
    doi:10.1145/775047.775151, sec. 4 and 5 (one class against the rest). Fitted by scikit-learn.
What differs: a row that gets 0 for every class becomes uniform.
Leaves nothing alone: choices may change. Cost: O(classes n log n). Fails with few rows: it is a staircase through them,
and gives probabilities of 0, so that the log loss of new rows may be infinite.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.isotonic import IsotonicRegression

from ..given import as_labelled, as_logits


@dataclass(frozen=True)
class IsotonicScaling:
    """A staircase a class.

    Attributes:
        stairs: Fitted regressions, one a class.
    """

    stairs: tuple[IsotonicRegression, ...]

    def probabilities(self, logits: Any) -> np.ndarray:
        """The staircases of softmax(logits), each row divided by its sum; raises ValueError unless they fit."""
        rows = as_logits("IsotonicScaling", logits)
        if rows.shape[1] != len(self.stairs):
            raise ValueError(
                f"IsotonicScaling: logits must have {len(self.stairs)} columns, as those it was fitted to; "
                f"got {rows.shape[1]}."
            )
        raised = np.stack(
            [stair.predict(p) for stair, p in zip(self.stairs, softmax(rows, axis=1).T, strict=True)], axis=1
        )
        total = raised.sum(axis=1, keepdims=True)
        return np.where(total > 0, raised / np.where(total > 0, total, 1.0), 1.0 / len(self.stairs))


def fit_isotonic(logits: Any, labels: Any) -> IsotonicScaling:
    """The staircases of least squares on held-out rows.

    Args:
        logits: [n, classes], held out from training, of NumPy, JAX or PyTorch.
        labels: Class numbers, [n].

    Raises:
        ValueError: Rows are not finite, or labels do not fit.

    Example:
        >>> logits = np.tile([np.log(9.0), 0.0], (10, 1))
        >>> found = fit_isotonic(logits, np.array([0] * 7 + [1] * 3))
        >>> found.probabilities(logits)[0].round(4).tolist()
        [0.7, 0.3]
    """
    rows, numbers = as_labelled("fit_isotonic", logits, labels)
    columns = enumerate(softmax(rows, axis=1).T)
    fitted = (IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(p, numbers == k) for k, p in columns)
    return IsotonicScaling(tuple(fitted))
