"""One minus the largest probability.

Source: Hendrycks and Gimpel (2017), arXiv:1610.02136.
"""

import numpy as np

from ..trial import Seen, softmax

TITLE = "max-softmax"


def score(seen: Seen) -> np.ndarray:
    """1 - max_c p_c."""
    return 1.0 - softmax(seen.outputs.logits).max(axis=1)
