"""The energy of the logits.

Source: Liu, Wang, Owens and Li (2020), Energy-based out-of-distribution detection, arXiv:2010.03759, eq. (4), T = 1.
"""

import numpy as np

from ..arrays import log_sum_exp
from ..trial import Seen

TITLE = "logit energy"


def score(seen: Seen) -> np.ndarray:
    """-log sum_c exp(l_c)."""
    return -log_sum_exp(seen.outputs.logits)
