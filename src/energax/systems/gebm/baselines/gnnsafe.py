"""GNNSafe: the energy of the logits, averaged over neighbours twice.

Source: Wu, Chen, Yang and Yan (2023), Energy-based out-of-distribution detection for graph neural networks,
arXiv:2302.02914, eq. (9), alpha 0.5, 2 steps, no loops.
"""

import numpy as np

from ..arrays import log_sum_exp
from ..diffusion import diffuse, walk
from ..trial import Seen

TITLE = "GNNSafe"


def score(seen: Seen) -> np.ndarray:
    """E <- (E + D^{-1} A E) / 2, twice."""
    step = walk(seen.graph.edge_index, len(seen.graph), alpha=0.5, loops=False)
    return diffuse(step, -log_sum_exp(seen.outputs.logits), 2)
