"""The entropy of the predicted classes.

Source: Shannon (1948), A mathematical theory of communication, doi:10.1002/j.1538-7305.1948.tb01338.x, sec. 6; as a
    score of unknown classes: Lakshminarayanan, Pritzel and Blundell (2017), arXiv:1612.01474, sec. 3.5.
What differs: nothing.
Cost: O(n classes). Fails as `max_softmax` does; it also counts how the small classes share the rest, which says more
where classes are many.
"""

from typing import Any

import numpy as np

from energax.core import checks

from ..given import as_logits


def entropy(logits: Any, *, temperature: float = 1.0) -> np.ndarray:
    """-sum_k p_k log p_k with p = softmax(f / T), of every row, in nats, from 0 to log(classes); high is unusual.

    Args:
        logits: [n, classes], of NumPy, JAX or PyTorch.
        temperature: T > 0.

    Returns:
        Float64 [n].

    Raises:
        ValueError: `logits` are not finite rows of >= 2 numbers, or `temperature` is not positive.

    Example:
        >>> entropy(np.log([[0.5, 0.25, 0.25]])).round(4).tolist()  # 1.5 log 2
        [1.0397]
    """
    checks.positive("entropy", "temperature", temperature, ndim=0)
    rows = as_logits("entropy", logits) / temperature
    below = rows - rows.max(axis=1, keepdims=True)  # 0 for the likeliest class: what is left is summed without loss
    shares = np.exp(below)
    total = shares.sum(axis=1)
    return np.log(total) - np.sum(shares * below, axis=1) / total
