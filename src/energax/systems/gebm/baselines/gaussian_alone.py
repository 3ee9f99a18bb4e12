"""Distance of the embedding without message passing to the nearest class, whose statistics are propagated ones.

Source: Lee, Lee, Lee and Shin (2018), arXiv:1807.03888, eq. (2); GEBM without logits and without diffusion.
"""

import numpy as np

from ..trial import Seen

TITLE = "Gaussian, no propagation"


def score(seen: Seen) -> np.ndarray:
    """min_c m_c(h) of the node alone."""
    return seen.trial.gaussians.distances(seen.alone.embeddings).min(axis=1)
