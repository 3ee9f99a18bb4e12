"""An ablation of GEBM: logits alone, without the regulariser."""

import numpy as np

from ..trial import Seen

TITLE = "GEBM, gamma = 0"
ABLATION = True


def score(seen: Seen) -> np.ndarray:
    """The sum, gamma = 0."""
    return seen.trial.evidence(gamma=0.0).score(*seen.alone, seen.graph.edge_index).total
