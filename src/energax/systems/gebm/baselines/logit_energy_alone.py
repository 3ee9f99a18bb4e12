"""The energy of the logits with message passing switched off: beside `logit_energy` it shows what the graph adds."""

import numpy as np

from ..arrays import log_sum_exp
from ..trial import Seen

TITLE = "logit energy, no propagation"


def score(seen: Seen) -> np.ndarray:
    """-log sum_c exp(l_c) of the node alone."""
    return -log_sum_exp(seen.alone.logits)
