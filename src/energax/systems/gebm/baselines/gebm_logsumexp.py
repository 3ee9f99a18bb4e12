"""An ablation of GEBM: the soft maximum of the three energies."""

import numpy as np

from ..trial import Seen

TITLE = "GEBM, logsumexp"
ABLATION = True


def score(seen: Seen) -> np.ndarray:
    """The aggregation of the reference code's class."""
    return seen.trial.evidence(aggregation="logsumexp").score(*seen.alone, seen.graph.edge_index).total
