"""MC dropout: what 50 passes with dropout disagree about.

Source: Gal and Ghahramani (2016), Dropout as a Bayesian approximation, arXiv:1506.02142.
"""

import numpy as np

from ..trial import SAMPLES, Seen, mutual_information

TITLE = "MC dropout"


def score(seen: Seen) -> np.ndarray:
    """Mutual information of class and dropout."""
    rng = seen.rng(1)
    return mutual_information([seen.trial.backbone.dropout(seen.graph, rng) for _ in range(SAMPLES)])
