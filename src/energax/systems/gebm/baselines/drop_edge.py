"""DropEdge: what 50 passes, each with half of the edges, disagree about.

Source: Rong, Huang, Xu and Huang (2020), arXiv:1907.10903; Hasanzadeh et al. (2020), arXiv:2006.04064, for the reading
as uncertainty.
What differs: edges are dropped when scores are taken, and not in training, so that all methods score one network.
"""

import dataclasses

import numpy as np

from ..trial import CHANCE, SAMPLES, Seen, mutual_information

TITLE = "DropEdge"


def score(seen: Seen) -> np.ndarray:
    """Mutual information of class and edges; an edge goes in both directions."""
    rng = seen.rng(2)
    a, b = seen.graph.edge_index
    once = seen.graph.edge_index[:, a < b]
    passes = []
    for _ in range(SAMPLES):
        thinned = dataclasses.replace(seen.graph, edge_index=once[:, rng.random(once.shape[1]) >= CHANCE])
        passes.append(seen.trial.backbone.outputs(thinned).logits)
    return mutual_information(passes)
