"""An ablation of GEBM: the diffused energy."""

import numpy as np

from ..trial import Seen

TITLE = "GEBM, group"
ABLATION = True


def score(seen: Seen) -> np.ndarray:
    """The group energy."""
    return seen.trial.evidence().score(*seen.alone, seen.graph.edge_index).group
