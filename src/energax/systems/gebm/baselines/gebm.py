"""GEBM, as the paper reports it."""

import numpy as np

from ..trial import Seen

TITLE = "GEBM"


def score(seen: Seen) -> np.ndarray:
    """The sum of the three energies, message passing off."""
    return seen.trial.evidence().score(*seen.alone, seen.graph.edge_index).total
