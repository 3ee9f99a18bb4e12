"""Half of the nodes have no word: features Bernoulli(0), normalised like all others."""

import numpy as np

from energax.data import Graph

from ..split import normalised, random_half

TITLE = "Ber(0)"
GROUP = "features"


def fits(graph: Graph) -> bool:
    """Everywhere."""
    return True


def foreign(graph: Graph, rng: np.random.Generator) -> np.ndarray:
    """A random half of every class."""
    return random_half(graph.y, rng)


def features(graph: Graph, foreign: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Independent words."""
    x = graph.x.copy()
    x[foreign] = normalised(rng.random((int(foreign.sum()), x.shape[1])) < 0.0)
    return x
