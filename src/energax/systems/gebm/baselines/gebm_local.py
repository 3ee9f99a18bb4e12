"""An ablation of GEBM: the diffused evidence."""

import numpy as np

from ..trial import Seen

TITLE = "GEBM, local"
ABLATION = True


def score(seen: Seen) -> np.ndarray:
    """The local energy."""
    return seen.trial.evidence().score(*seen.alone, seen.graph.edge_index).local
