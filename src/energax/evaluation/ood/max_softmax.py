"""The probability of the likeliest class: the baseline that every other score has to beat.

Source: Hendrycks and Gimpel (2017), A baseline for detecting misclassified and out-of-distribution examples,
    arXiv:1610.02136, sec. 2; the temperature: Liang, Li and Srikant (2018), arXiv:1706.02690, eq. (1).
What differs: -log p instead of 1 - p, taken from the other classes' share, so that rows keep their order where 1 - p
rounds to 0.
Cost: O(n classes). Fails where a network is sure of what it never saw: it knows only which class, not whether any.
"""

from typing import Any

import numpy as np

from energax.core import checks

from ..given import as_logits


def max_softmax(logits: Any, *, temperature: float = 1.0) -> np.ndarray:
    """-log max_k softmax(f / T)_k of every row, in nats, from 0 to log(classes); high is unusual.

    Args:
        logits: [n, classes], of NumPy, JAX or PyTorch.
        temperature: T > 0.

    Returns:
        Float64 [n].

    Raises:
        ValueError: `logits` are not finite rows of >= 2 numbers, or `temperature` is not positive.

    Example:
        >>> max_softmax(np.array([[0.0, 0.0], [0.0, 100.0]])).tolist()  # log 2, exp(-100)
        [0.6931471805599453, 3.720075976020836e-44]
    """
    checks.positive("max_softmax", "temperature", temperature, ndim=0)
    rows = as_logits("max_softmax", logits) / temperature
    best = rows.argmax(axis=1)[:, None]
    others = np.exp(rows - np.take_along_axis(rows, best, axis=1))
    np.put_along_axis(others, best, 0.0, axis=1)
    return np.log1p(others.sum(axis=1))
