"""Half of the nodes have standard normal features, not normalised: of norm sqrt(dim) where all others have norm 1."""

import numpy as np

from energax.data import Graph

from ..split import random_half

TITLE = "N(0, 1), far"
GROUP = "features"


def fits(graph: Graph) -> bool:
    """Everywhere."""
    return True


def foreign(graph: Graph, rng: np.random.Generator) -> np.ndarray:
    """A random half of every class."""
    return random_half(graph.y, rng)


def features(graph: Graph, foreign: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Standard normal."""
    x = graph.x.copy()
    x[foreign] = rng.normal(size=(int(foreign.sum()), x.shape[1]))
    return x
