"""The negative log-likelihood of the labels; and its parts.

Source: Good (1952), Rational decisions, doi:10.1111/j.2517-6161.1952.tb00104.x; the parts: Weijs, van Nooijen and van
    de Giesen (2010), Kullback-Leibler divergence as a forecast skill score with classic
    reliability-resolution-uncertainty decomposition, doi:10.1175/2010MWR3229.1.
What differs: groups are of the likeliest class and of bins of its probability, and what they hide is kept as a part.
Estimates -E log p_y, in nats. Cost: O(n classes). Fails to be finite where a class came that had probability 0; with
few rows a group reliability and resolution are both too large.
"""

from typing import Any

import numpy as np
from scipy.special import entr, rel_entr

from .decomposition import Decomposition, grouped


def log_loss(probabilities: Any, labels: Any, *, bins: int = 5) -> Decomposition:
    """The negative log-likelihood in nats a row, and its parts, which sum to it.

    Where a class came that had probability 0 the total is infinite, and `within` may be not a number.

    Args:
        probabilities: [n, classes], rows that sum to 1, of NumPy, JAX or PyTorch.
        labels: Class numbers, [n].
        bins: Bins of confidence for each likeliest class, >= 1.

    Raises:
        ValueError: Rows are no probabilities, labels do not fit, or `bins` is no integer >= 1.

    Example:
        >>> found = log_loss(np.tile([0.9, 0.1], (10, 1)), np.array([0] * 7 + [1] * 3))
        >>> [round(value, 4) for value in (found.total, found.reliability, found.resolution, found.uncertainty)]
        [0.7645, 0.1537, 0.0, 0.6109]
    """
    found = grouped("log_loss", probabilities, labels, bins)
    mean = found.happened.mean(axis=0)
    own = found.happened.argmax(axis=1)
    said = np.take_along_axis(found.predicted, own[:, None], axis=1)[:, 0]
    usual = found.forecast[found.owner, own]
    with np.errstate(divide="ignore", invalid="ignore"):  # log 0 is told as it is
        total, within = -np.mean(np.log(said)), np.mean(np.log(usual) - np.log(said))
    return Decomposition(
        total=float(total),
        reliability=float(found.share @ np.sum(rel_entr(found.outcome, found.forecast), axis=1)),
        resolution=float(found.share @ np.sum(rel_entr(found.outcome, mean), axis=1)),
        uncertainty=float(np.sum(entr(mean))),
        within=float(within),
        num_groups=len(found.share),
    )
