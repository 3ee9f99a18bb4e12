"""Distance of the propagated embedding to the nearest class.

Source: Lee, Lee, Lee and Shin (2018), arXiv:1807.03888, eq. (2), with a diagonal covariance a class.
"""

import numpy as np

from ..trial import Seen

TITLE = "Gaussian"


def score(seen: Seen) -> np.ndarray:
    """min_c m_c(h)."""
    return seen.trial.gaussians.distances(seen.outputs.embeddings).min(axis=1)
