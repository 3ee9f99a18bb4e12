"""torch-geometric's GraphSAGE, trained by the same protocol.

Source: Hamilton, Ying and Leskovec (2017), arXiv:1706.02216.
"""

from typing import Any

import numpy as np

from energax.data import Graph

from ..pyg_training import Trained, train_models
from ..training import DROPOUT, WIDTH

TITLE = "GraphSAGE (torch-geometric)"


def make(dim: int, classes: int) -> Any:
    """A fresh model of two layers."""
    from torch_geometric.nn import GraphSAGE

    return GraphSAGE(dim, WIDTH, num_layers=2, out_channels=classes, dropout=DROPOUT)


def train(graph: Graph, train: np.ndarray, validation: np.ndarray, members: int, seed: int) -> Trained:
    """`members` networks from weights of their own."""
    return train_models(make, graph, train, validation, members, seed)
