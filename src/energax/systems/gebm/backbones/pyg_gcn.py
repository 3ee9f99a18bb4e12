"""torch-geometric's GCN, trained by the same protocol.

Source: Kipf and Welling (2017), arXiv:1609.02907.
"""

from typing import Any

import numpy as np

from energax.data import Graph

from ..pyg_training import Trained, train_models
from ..training import DROPOUT, WIDTH

TITLE = "GCN (torch-geometric)"


def make(dim: int, classes: int) -> Any:
    """A fresh model of two layers."""
    from torch_geometric.nn import GCN

    return GCN(dim, WIDTH, num_layers=2, out_channels=classes, dropout=DROPOUT)


def train(graph: Graph, train: np.ndarray, validation: np.ndarray, members: int, seed: int) -> Trained:
    """`members` networks from weights of their own."""
    return train_models(make, graph, train, validation, members, seed)
