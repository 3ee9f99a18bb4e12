"""The half of every class with the fewest neighbours of its own class is foreign."""

import numpy as np

from energax.data import Graph

from ..split import lowest_half

TITLE = "low homophily"
GROUP = "homophily"


def fits(graph: Graph) -> bool:
    """Everywhere."""
    return True


def foreign(graph: Graph, rng: np.random.Generator) -> np.ndarray:
    """Share of same-class neighbours, lowest half; a node without neighbours has share 0."""
    a, b = graph.edge_index
    same = np.bincount(b, weights=graph.y[a] == graph.y[b], minlength=len(graph))
    degree = np.bincount(b, minlength=len(graph))
    return lowest_half(same / np.maximum(degree, 1), graph.y, rng)


def features(graph: Graph, foreign: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As they are."""
    return graph.x
