"""An ablation of GEBM: the node by itself."""

import numpy as np

from ..trial import Seen

TITLE = "GEBM, independent"
ABLATION = True


def score(seen: Seen) -> np.ndarray:
    """The independent energy."""
    return seen.trial.evidence().score(*seen.alone, seen.graph.edge_index).independent
