"""The Brier score: squared distance of the predicted probabilities to what happened; and its parts.

Source: Brier (1950), Verification of forecasts expressed in terms of probability,
    doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2, eq. (2); the parts: Murphy (1973), A new vector partition of
    the probability score, doi:10.1175/1520-0450(1973)012<0595:ANVPOT>2.0.CO;2; what groups hide: Stephenson, Coelho and
    Jolliffe (2008), doi:10.1175/2007WAF2006116.1.
What differs: groups are of the likeliest class and of bins of its probability, since whole vectors seldom repeat.
Estimates E sum_k (p_k - y_k)^2, from 0 to 2. Cost: O(n classes). Fails with few rows a group: reliability and
resolution are then both too large.
"""

from typing import Any

import numpy as np

from .decomposition import Decomposition, grouped


def brier(probabilities: Any, labels: Any, *, bins: int = 5) -> Decomposition:
    """The Brier score over all classes, and its parts, which sum to it.

    Args:
        probabilities: [n, classes], rows that sum to 1, of NumPy, JAX or PyTorch.
        labels: Class numbers, [n].
        bins: Bins of confidence for each likeliest class, >= 1.

    Raises:
        ValueError: Rows are no probabilities, labels do not fit, or `bins` is no integer >= 1.

    Example:
        >>> found = brier(np.tile([0.9, 0.1], (10, 1)), np.array([0] * 7 + [1] * 3))
        >>> [round(value, 4) for value in (found.total, found.reliability, found.resolution, found.uncertainty)]
        [0.5, 0.08, 0.0, 0.42]
    """
    found = grouped("brier", probabilities, labels, bins)
    mean = found.happened.mean(axis=0)
    off = found.predicted - found.forecast[found.owner]
    left = found.happened - found.outcome[found.owner]
    return Decomposition(
        total=float(np.mean(np.sum((found.predicted - found.happened) ** 2, axis=1))),
        reliability=float(found.share @ np.sum((found.forecast - found.outcome) ** 2, axis=1)),
        resolution=float(found.share @ np.sum((found.outcome - mean) ** 2, axis=1)),
        uncertainty=float(1.0 - np.sum(mean**2)),
        within=float(np.mean(np.sum(off**2 - 2.0 * off * left, axis=1))),
        num_groups=len(found.share),
    )
