"""ReAct: the energy of the logits after activations are cut off at what is usual in training.

Source: Sun, Guo and Li (2021), ReAct: out-of-distribution detection with rectified activations, arXiv:2111.12797,
    sec. 3.
What differs: nothing.
Cost: O(n classes dim). Fails where foreign data do not excite single units above the usual (features without a ReLU,
say); then it is the energy score with some evidence lost.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from energax.core import checks

from ..given import as_features, as_head
from .energy_score import energy_score


@dataclass(frozen=True)
class ReAct:
    """The cut and the head behind it.

    Attributes:
        cut: Activations above it are set to it.
        weight: [classes, dim].
        bias: [classes].
    """

    cut: float
    weight: np.ndarray
    bias: np.ndarray

    def score(self, features: Any, *, temperature: float = 1.0) -> np.ndarray:
        """`energy_score` of weight @ min(z, cut) + bias, of every row, [n]; high is unusual.

        Args:
            features: [n, dim], what the head reads, of NumPy, JAX or PyTorch.
            temperature: As in `energy_score`.

        Raises:
            ValueError: `features` are not finite rows of `dim` numbers, or `temperature` is not positive.
        """
        rows = as_features("ReAct.score", features, self.weight.shape[1])
        logits = np.minimum(rows, self.cut) @ self.weight.T + self.bias
        return energy_score(logits, temperature=temperature)


def fit_react(features: Any, weight: Any, bias: Any, *, percentile: float = 90.0) -> ReAct:
    """The cut at a percentile of all training activations.

    Args:
        features: Training features, [n, dim], of NumPy, JAX or PyTorch.
        weight: The head's, [classes, dim], as PyTorch's `Linear` keeps it.
        bias: The head's, [classes].
        percentile: From 0 to 100; at 100 no training activation is cut.

    Raises:
        ValueError: A number is not finite, shapes do not fit, or `percentile` is out of range.

    Example:
        >>> found = fit_react(np.array([[0.0, 1.0], [1.0, 2.0]]), np.eye(2), np.zeros(2), percentile=100)
        >>> found.cut, found.score(np.array([[50.0, 0.0]])).round(4).tolist()  # -log(e^2 + 1)
        (2.0, [-2.1269])
    """
    matrix, offset = as_head("fit_react", weight, bias)
    rows = as_features("fit_react", features, matrix.shape[1])
    checks.non_negative("fit_react", "percentile", percentile, ndim=0)
    if percentile > 100:
        raise ValueError(f"fit_react.percentile must be in [0, 100]; got {percentile}.")
    return ReAct(float(np.percentile(rows, percentile)), matrix, offset)
