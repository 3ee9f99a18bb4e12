"""A proper score taken apart: what miscalibration costs, what telling cases apart gains, what nobody can know."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..given import as_predictions
from .bins import bin_of


@dataclass(frozen=True)
class Decomposition:
    """total = reliability - resolution + uncertainty + within, exactly.

    Attributes:
        total: The score itself; lower is better.
        reliability: What is lost since groups come out otherwise than they were predicted, >= 0.
        resolution: What is gained since groups come out differently from each other, >= 0.
        uncertainty: The score of predicting the classes' frequencies for all.
        within: What groups hide: predictions of one group that differ; of either sign.
        num_groups: Groups that hold rows; reliability and resolution are both too large by about one part in rows a
            group.
    """

    total: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float
    num_groups: int


@dataclass(frozen=True)
class Grouped:
    """Predictions and outcomes, and their means over groups.

    Attributes:
        predicted: Probabilities, [n, classes].
        happened: One-hot labels, [n, classes].
        owner: Group of each row, [n].
        share: Share of the rows in each group, [groups].
        forecast: Mean prediction of each group, [groups, classes].
        outcome: Frequencies of the classes in each group, [groups, classes].
    """

    predicted: np.ndarray
    happened: np.ndarray
    owner: np.ndarray
    share: np.ndarray
    forecast: np.ndarray
    outcome: np.ndarray


def grouped(name: str, probabilities: Any, labels: Any, bins: int) -> Grouped:
    """Rows by their likeliest class and, within it, by bins of equal mass of its probability.

    Raises:
        ValueError: Rows are no probabilities, labels do not fit, or `bins` is no integer >= 1.
    """
    rows, numbers = as_predictions(name, probabilities, labels)
    happened = np.eye(rows.shape[1])[numbers]
    choice, confidence = rows.argmax(axis=1), rows.max(axis=1)
    fine = np.zeros(len(rows), int)
    for k in np.unique(choice):
        fine[choice == k] = bin_of(name, confidence[choice == k], bins, "mass")
    owner = np.unique(choice * bins + fine, return_inverse=True)[1]
    num = np.bincount(owner)
    forecast, outcome = (
        np.stack([np.bincount(owner, column) for column in side.T], axis=1) / num[:, None] for side in (rows, happened)
    )
    return Grouped(rows, happened, owner, num / len(rows), forecast, outcome)
