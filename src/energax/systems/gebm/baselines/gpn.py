"""A graph posterior network, trained for itself; see `posterior_network`."""

import numpy as np

from ..posterior_network import total_evidence, train_posterior_network
from ..trial import Seen

TITLE = "GPN"


def score(seen: Seen) -> np.ndarray:
    """Minus the total evidence."""
    trial = seen.trial
    net, log_prior = trial.once(
        "gpn", lambda: train_posterior_network(trial.graph, trial.train, trial.validation, trial.seed)
    )
    return -total_evidence(net, log_prior, seen.graph).astype(np.float64)
