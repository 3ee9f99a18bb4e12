"""Nodes of the last classes are foreign: no label of theirs was ever seen."""

import numpy as np

from energax.data import Graph

TITLE = "left-out classes"
GROUP = "left_out_classes"
LEFT_OUT = {"cora": 3, "citeseer": 2, "pubmed": 1}


def fits(graph: Graph) -> bool:
    """Where three classes are, so that two are left."""
    return graph.classes >= 3


def foreign(graph: Graph, rng: np.random.Generator) -> np.ndarray:
    """The last 3 classes of Cora, 2 of Citeseer, 1 of PubMed; of another graph a third."""
    return graph.y >= graph.classes - LEFT_OUT.get(graph.name, max(1, graph.classes // 3))


def features(graph: Graph, foreign: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As they are."""
    return graph.x
