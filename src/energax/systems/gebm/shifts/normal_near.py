"""Half of the nodes have Gaussian features with the mean and the covariance of the known, normalised.

What differs: the reference code multiplies noise by the Cholesky factor from the wrong side, which gives L^T L for the
covariance L L^T; here it is the covariance.
"""

import numpy as np

from energax.data import Graph

from ..split import normalised, random_half

TITLE = "N(mean, cov), near"
GROUP = "features"


def fits(graph: Graph) -> bool:
    """Where features are real numbers."""
    return not graph.binary


def foreign(graph: Graph, rng: np.random.Generator) -> np.ndarray:
    """A random half of every class."""
    return random_half(graph.y, rng)


def features(graph: Graph, foreign: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mean plus weighted sums of the known nodes' deviations, whose covariance is theirs without a factorisation."""
    x = graph.x.copy()
    known = graph.x[~foreign].astype(np.float64)
    mean = known.mean(axis=0)
    noise = rng.normal(size=(int(foreign.sum()), len(known))) / np.sqrt(len(known))
    drawn = mean + noise @ (known - mean)
    x[foreign] = normalised(drawn)
    return x
