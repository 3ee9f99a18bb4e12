"""An ensemble: what 10 networks, trained from different weights, disagree about.

Source: Lakshminarayanan, Pritzel and Blundell (2017), arXiv:1612.01474.
"""

import numpy as np

from ..trial import Seen, mutual_information

TITLE = "ensemble"


def score(seen: Seen) -> np.ndarray:
    """Mutual information of class and member."""
    backbone = seen.trial.backbone
    return mutual_information([backbone.outputs(seen.graph, member).logits for member in range(backbone.members)])
