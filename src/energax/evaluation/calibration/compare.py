"""A classifier before and after each way of scaling: fitted to some rows, judged on others, with errors.

Errors are of the jackknife: the bootstrap draws rows twice, which makes calibration look worse than it is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import softmax

from energax.errors import ConfigError, Unbounded, did_you_mean

from ..given import as_labelled
from ..rows import jackknife_error
from .brier import brier
from .classwise_ece import classwise_ece
from .debiased_ece import debiased_ece
from .decomposition import Decomposition
from .ece import ece
from .isotonic import fit_isotonic
from .log_loss import log_loss
from .reliability import Reliability, reliability
from .temperature_scaling import fit_temperature
from .vector_scaling import fit_vector

BEFORE = "before"
SCALINGS: dict[str, Callable] = {"temperature": fit_temperature, "vector": fit_vector, "isotonic": fit_isotonic}
_GROUPS = 20


def measures(bins: int) -> dict[str, Callable[[np.ndarray, np.ndarray], float]]:
    """Every figure by name: a function of probabilities [n, classes] and labels [n]."""
    return {
        "accuracy": lambda p, y: float(np.mean(p.argmax(axis=1) == y)),
        "nll": lambda p, y: log_loss(p, y).total,
        "brier": lambda p, y: brier(p, y).total,
        "ece": lambda p, y: ece(p, y, bins=bins),
        "ece_mass": lambda p, y: ece(p, y, bins=bins, spacing="mass"),
        "ece_classwise": lambda p, y: classwise_ece(p, y, bins=bins),
        "ece2_debiased": lambda p, y: debiased_ece(p, y, bins=bins).squared,
    }


@dataclass(frozen=True)
class Calibrated:
    """What one way of scaling makes of the test rows.

    Attributes:
        probabilities: [n, classes].
        figures: Measure -> (value, its standard error).
        change: Measure -> (difference to before, its standard error, rows paired); empty for what is before.
        null_sigma: Debiased squared error over its standard deviation under calibration.
        reliability: The diagram.
        parts: "nll" and "brier" -> their parts.
        scaling: What was fitted, or None before.
    """

    probabilities: np.ndarray
    figures: dict[str, tuple[float, float]]
    change: dict[str, tuple[float, float]]
    null_sigma: float
    reliability: Reliability
    parts: dict[str, Decomposition]
    scaling: Any


def compare(
    fit_logits: Any, fit_labels: Any, logits: Any, labels: Any, *, methods: Sequence[str] = (), bins: int = 15
) -> tuple[dict[str, Calibrated], dict[str, str]]:
    """Scales a classifier by held-out rows and measures it on others, before and after.

    Args:
        fit_logits: Of rows that neither trained nor test the classifier, [m, classes], of NumPy, JAX or PyTorch.
        fit_labels: Class numbers, [m].
        logits: Of the test rows, [n, classes]; n >= 20.
        labels: Class numbers, [n].
        methods: Some of "temperature", "vector" and "isotonic"; empty for all.
        bins: Of the calibration errors, >= 1.

    Returns:
        (name -> what it makes of the test rows, "before" first; name -> why it could not be fitted).

    Raises:
        ConfigError: A name is of no method.
        ValueError: Rows are not finite, labels do not fit, widths differ, or both sides are the same rows.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> truth = rng.normal(size=(4000, 3))
        >>> labels = np.array([rng.choice(3, p=p) for p in softmax(truth, axis=1)])
        >>> sides = (3.0 * truth[:2000], labels[:2000], 3.0 * truth[2000:], labels[2000:])
        >>> found, _ = compare(*sides, methods=["temperature"])
        >>> round(found["temperature"].scaling.temperature, 1)
        3.0
        >>> found["before"].figures["ece"][0] > 0.2 > found["temperature"].figures["ece"][0]
        True
    """
    for name in methods:
        if name not in SCALINGS:
            words = f"a method must be one of {', '.join(SCALINGS)}; got {name!r}.{did_you_mean(name, SCALINGS)}"
            raise ConfigError(words)
    learnt = as_labelled("compare", fit_logits, fit_labels, "fit")
    rows, numbers = as_labelled("compare", logits, labels, "test", least=_GROUPS)
    classes = learnt[0].shape[1], rows.shape[1]
    if classes[0] != classes[1]:
        raise ValueError(
            f"compare: both sides must have as many classes; got {classes[0]} to fit and {classes[1]} to test."
        )
    if np.array_equal(learnt[0], rows):
        raise ValueError("compare: test rows must be others than those to fit; got the same logits on both sides.")
    raw = softmax(rows, axis=1)
    found = {BEFORE: _measured(raw, raw, numbers, bins, None)}
    refused: dict[str, str] = {}
    for name in methods or SCALINGS:
        try:
            scaling = SCALINGS[name](*learnt)
        except Unbounded as error:
            refused[name] = str(error)
            continue
        found[name] = _measured(scaling.probabilities(rows), raw, numbers, bins, scaling)
    return found, refused


def _measured(p: np.ndarray, before: np.ndarray, labels: np.ndarray, bins: int, scaling: Any) -> Calibrated:
    judged = measures(bins)
    return Calibrated(
        probabilities=p,
        figures={name: _with_error(measure, p, labels) for name, measure in judged.items()},
        change={} if scaling is None else {n: _difference(measure, p, before, labels) for n, measure in judged.items()},
        null_sigma=debiased_ece(p, labels, bins=bins).sigma,
        reliability=reliability(p, labels, bins=bins),
        parts={"nll": log_loss(p, labels), "brier": brier(p, labels)},
        scaling=scaling,
    )


def _with_error(measure: Callable, p: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    value = measure(p, labels)
    return value, jackknife_error(measure, p, labels, groups=_GROUPS) if np.isfinite(value) else np.inf


def _difference(measure: Callable, p: np.ndarray, before: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    return _with_error(
        lambda both, y: measure(both[:, 0], y) - measure(both[:, 1], y), np.stack([p, before], 1), labels
    )


def parameters(found: Mapping[str, Calibrated]) -> dict[str, dict[str, Any]]:
    """What was fitted, as plain numbers; a staircase is its corners."""
    plain: dict[str, dict[str, Any]] = {}
    for name, each in found.items():
        if name == "temperature":
            plain[name] = {"temperature": each.scaling.temperature}
        elif name == "vector":
            plain[name] = {"weight": each.scaling.weight.tolist(), "bias": each.scaling.bias.tolist()}
        elif name == "isotonic":
            corners = [(s.X_thresholds_.tolist(), s.y_thresholds_.tolist()) for s in each.scaling.stairs]
            plain[name] = {"from": [x for x, _ in corners], "to": [y for _, y in corners]}
    return plain
