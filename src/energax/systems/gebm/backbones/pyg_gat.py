"""torch-geometric's GAT, trained by the same protocol.

Source: Veličković et al. (2018), Graph attention networks, arXiv:1710.10903; 8 heads of 8 units.
"""

from typing import Any

import numpy as np

from energax.data import Graph

from ..pyg_training import Trained, train_models
from ..training import DROPOUT, WIDTH

TITLE = "GAT (torch-geometric)"


def make(dim: int, classes: int) -> Any:
    """A fresh model of two layers."""
    from torch_geometric.nn import GAT

    return GAT(dim, WIDTH, num_layers=2, out_channels=classes, dropout=DROPOUT, heads=8)


def train(graph: Graph, train: np.ndarray, validation: np.ndarray, members: int, seed: int) -> Trained:
    """`members` networks from weights of their own."""
    return train_models(make, graph, train, validation, members, seed)
