"""What is measured of a trained machine alone: what its hidden units look at, and, on known patterns, their masses."""

from typing import Any

import numpy as np

from energax import data
from energax.core import AbstractEnergy
from energax.energies import BernoulliRBM, rbm_exact
from energax.evaluation import energy_values

from .build import Problem

_SHOWN = 64  # hidden units whose weights are kept for the figure


def measure_machine(problem: Problem, energy: AbstractEnergy) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Weights of the hidden units that weigh most; KL(true || model) and the patterns' masses where both are known."""
    if not isinstance(energy, BernoulliRBM):
        return {}, {}
    weights = np.asarray(energy.weight_scale * energy.weights, np.float32).T
    order = np.argsort(-np.sum(weights**2, axis=1), kind="stable")[:_SHOWN]
    shape = problem.train.image_shape
    filters = weights[order] if shape is None else weights[order].reshape(-1, *shape)
    numbers: dict[str, Any] = {"machine": {"visible": weights.shape[1], "hidden": weights.shape[0]}}
    if problem.config.data.name == "bars-and-stripes" and min(weights.shape) <= 20:
        patterns = data.bars_and_stripes()
        masses = np.exp(-energy_values(energy, patterns) - rbm_exact(energy).log_z)
        numbers["states"] = {
            "kl_true_model": float(-np.mean(np.log(masses)) - np.log(len(patterns))),
            "mode_masses_true": [1.0 / len(patterns)] * len(patterns),
            "mode_masses_model": masses.tolist(),
            "true_mass": float(masses.sum()),
        }
    return numbers, {"filters": filters}
