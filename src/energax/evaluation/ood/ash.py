"""ASH: the energy of the logits after most of a sample's activations are removed and the rest are left, set or scaled.

Source: Djurisic, Bozanic, Ashok and Liu (2023), Extremely simple activation shaping for out-of-distribution detection,
    arXiv:2209.09858, algorithms 1 (ASH-P), 2 (ASH-B) and 3 (ASH-S). Needs nothing of the training data.
What differs: nothing; as in the authors' code dim - round(percentile / 100 dim) activations of a row are kept.
Cost: O(n dim (log dim + classes)). Fails on features that may be negative, which are refused: sums of activations stand
for how strong a sample is. ASH-S scales a row of equal activations most of all, and so finds it usual; and the right
percentile depends on the network.
"""

from typing import Any

import numpy as np

from energax.core import checks

from ..given import as_features, as_head
from .energy_score import energy_score


def ash_p(features: Any, weight: Any, bias: Any, *, percentile: float = 60.0, temperature: float = 1.0) -> np.ndarray:
    """ASH-P: the kept activations stay as they are, the others become 0.

    Args:
        features: [n, dim], >= 0, what the head reads, of NumPy, JAX or PyTorch.
        weight: The head's, [classes, dim], as PyTorch's `Linear` keeps it.
        bias: The head's, [classes].
        percentile: Share of a row's activations that is removed, in [0, 100).
        temperature: As in `energy_score`.

    Returns:
        Float64 [n]; high is unusual.

    Raises:
        ValueError: A number is not finite, a feature is negative, shapes do not fit, or `percentile` is out of range.

    Example:
        >>> ash_p(np.array([[3.0, 1.0]]), np.eye(2), np.zeros(2), percentile=50).round(4).tolist()  # -log(e^3 + 1)
        [-3.0486]
    """
    rows, kept, matrix, offset = _opened("ash_p", features, weight, bias, percentile)
    return energy_score(np.where(kept, rows, 0.0) @ matrix.T + offset, temperature=temperature)


def ash_b(features: Any, weight: Any, bias: Any, *, percentile: float = 65.0, temperature: float = 1.0) -> np.ndarray:
    """ASH-B: the kept activations all become their share of the row's whole sum, the others 0.

    Args, returns and errors are those of `ash_p`.

    Example:
        >>> ash_b(np.array([[3.0, 1.0]]), np.eye(2), np.zeros(2), percentile=50).round(4).tolist()  # -log(e^4 + 1)
        [-4.0181]
    """
    rows, kept, matrix, offset = _opened("ash_b", features, weight, bias, percentile)
    level = rows.sum(axis=1, keepdims=True) / kept.sum(axis=1, keepdims=True)
    return energy_score(np.where(kept, level, 0.0) @ matrix.T + offset, temperature=temperature)


def ash_s(features: Any, weight: Any, bias: Any, *, percentile: float = 90.0, temperature: float = 1.0) -> np.ndarray:
    """ASH-S: the kept activations are multiplied by exp(the row's whole sum over the sum of the kept).

    Args, returns and errors are those of `ash_p`; a row of zeros stays one.

    Example:
        >>> ash_s(np.array([[3.0, 1.0]]), np.eye(2), np.zeros(2), percentile=50).round(3).tolist()  # 3 exp(4 / 3)
        [-11.381]
    """
    rows, kept, matrix, offset = _opened("ash_s", features, weight, bias, percentile)
    left = np.where(kept, rows, 0.0)
    before, after = rows.sum(axis=1, keepdims=True), left.sum(axis=1, keepdims=True)
    factor = np.exp(np.divide(before, after, out=np.zeros_like(after), where=after > 0))
    return energy_score((left * factor) @ matrix.T + offset, temperature=temperature)


def _opened(
    owner: str, features: Any, weight: Any, bias: Any, percentile: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(features, which of them are kept, weight, bias)."""
    matrix, offset = as_head(owner, weight, bias)
    rows = as_features(owner, features, matrix.shape[1])
    if rows.min() < 0:
        raise ValueError(f"{owner}: features must be >= 0, as after a ReLU; got {rows.min():g}.")
    checks.non_negative(owner, "percentile", percentile, ndim=0)
    dim = rows.shape[1]
    num = dim - round(percentile / 100 * dim)
    if num < 1:
        raise ValueError(f"{owner}.percentile must leave one of {dim} activations; got {percentile}.")
    order = np.argsort(-rows, axis=1, kind="stable")[:, :num]
    kept = np.zeros(rows.shape, bool)
    np.put_along_axis(kept, order, True, axis=1)
    return rows, kept, matrix, offset
