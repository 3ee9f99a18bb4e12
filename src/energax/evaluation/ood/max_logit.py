"""The largest logit, before any softmax.

Source: Hendrycks, Basart, Mazeika, Zou, Kwon, Mostajabi, Steinhardt and Song (2022), Scaling out-of-distribution
    detection for real-world settings, arXiv:1911.11132, sec. 3 (MaxLogit).
What differs: nothing; it is the energy at temperature 0.
Cost: O(n classes). Fails as the energy does where logits grow far from the data.
"""

from typing import Any

import numpy as np

from ..given import as_logits


def max_logit(logits: Any) -> np.ndarray:
    """-max_k f_k of every row, in the units of the logits; high is unusual.

    Args:
        logits: [n, classes], of NumPy, JAX or PyTorch.

    Returns:
        Float64 [n].

    Raises:
        ValueError: `logits` are not finite rows of >= 2 numbers.

    Example:
        >>> max_logit(np.array([[0.5, 2.0], [0.0, -1.0]])).tolist()
        [-2.0, 0.0]
    """
    return 0.0 - as_logits("max_logit", logits).max(axis=1)
