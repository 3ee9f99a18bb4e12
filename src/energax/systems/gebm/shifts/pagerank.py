"""The half of every class with the least PageRank is foreign.

Source: Page, Brin, Motwani and Winograd (1999), The PageRank citation ranking; 10 power iterations with teleport 0.2 on
the graph with loops, as the reference code of GEBM has it.
"""

import numpy as np

from energax.data import Graph

from ..diffusion import walk
from ..split import lowest_half

TITLE = "low PageRank"
GROUP = "pagerank"


def fits(graph: Graph) -> bool:
    """Everywhere."""
    return True


def foreign(graph: Graph, rng: np.random.Generator) -> np.ndarray:
    """PageRank, lowest half."""
    step = walk(graph.edge_index, len(graph), alpha=0.0, kind="column")
    rank = np.full(len(graph), 1.0 / len(graph))
    for _ in range(10):
        rank = 0.8 * (step @ rank) + 0.2 / len(graph)
    return lowest_half(rank, graph.y, rng)


def features(graph: Graph, foreign: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As they are."""
    return graph.x
