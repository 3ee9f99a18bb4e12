"""Half of the nodes have random words, each as frequent as among the known: near the data, one feature at a time."""

import numpy as np

from energax.data import Graph

from ..split import normalised, random_half

TITLE = "Ber(mean), near"
GROUP = "features"


def fits(graph: Graph) -> bool:
    """Where features are words that are there or not."""
    return graph.binary


def foreign(graph: Graph, rng: np.random.Generator) -> np.ndarray:
    """A random half of every class."""
    return random_half(graph.y, rng)


def features(graph: Graph, foreign: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Independent words with the known nodes' frequencies."""
    x = graph.x.copy()
    frequency = (graph.x[~foreign] > 0).mean(axis=0)
    x[foreign] = normalised(rng.random((int(foreign.sum()), x.shape[1])) < frequency)
    return x
