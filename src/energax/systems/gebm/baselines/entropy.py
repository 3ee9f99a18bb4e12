"""The entropy of the predicted classes."""

import numpy as np

from ..trial import Seen, entropy, softmax

TITLE = "entropy"


def score(seen: Seen) -> np.ndarray:
    """H[p], nats."""
    return entropy(softmax(seen.outputs.logits))
