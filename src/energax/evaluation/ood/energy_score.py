"""The energy of a classifier's logits: minus the log of all the evidence that it sees.

Source: Liu, Wang, Owens and Li (2020), Energy-based out-of-distribution detection, arXiv:2010.03759, eq. (4), sec. 3.1.
What differs: nothing; their score is its negative, high for what is known.
Cost: O(n classes). Fails where logits grow without bound far from the data, as those of a ReLU network do along most
rays: such noise has low energy; and on a network whose logits were never compared over x (cross-entropy alone leaves a
shift of all logits free at every x).
"""

from typing import Any

import numpy as np
from scipy.special import logsumexp

from energax.core import checks

from ..given import as_logits


def energy_score(logits: Any, *, temperature: float = 1.0) -> np.ndarray:
    """E = -T logsumexp_k(f_k / T) of every row, in the units of the logits; high is unusual.

    Args:
        logits: [n, classes], of NumPy, JAX or PyTorch.
        temperature: T > 0. Towards 0 it is `max_logit`; E + T log(classes) goes to minus the mean logit as T grows.

    Returns:
        Float64 [n].

    Raises:
        ValueError: `logits` are not finite rows of >= 2 numbers, or `temperature` is not positive.

    Example:
        >>> energy_score(np.zeros((1, 2))).round(4).tolist()  # -log 2
        [-0.6931]
    """
    checks.positive("energy_score", "temperature", temperature, ndim=0)
    rows = as_logits("energy_score", logits)
    return -temperature * logsumexp(rows / temperature, axis=1)
