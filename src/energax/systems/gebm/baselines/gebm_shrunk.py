"""An ablation of GEBM: half of each variance is the mean variance."""

import numpy as np

from ..trial import Seen

TITLE = "GEBM, shrinkage 0.5"
ABLATION = True


def score(seen: Seen) -> np.ndarray:
    """The sum, shrinkage 0.5."""
    return seen.trial.evidence(shrinkage=0.5).score(*seen.alone, seen.graph.edge_index).total
