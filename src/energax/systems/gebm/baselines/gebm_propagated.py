"""An ablation of GEBM: the ordinary outputs, message passing on."""

import numpy as np

from ..trial import Seen

TITLE = "GEBM, propagated"
ABLATION = True


def score(seen: Seen) -> np.ndarray:
    """The sum on propagated outputs."""
    return seen.trial.evidence().score(*seen.outputs, seen.graph.edge_index).total
