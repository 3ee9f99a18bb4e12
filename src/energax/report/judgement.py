"""What a judgement is made of: levels, thresholds, and how a number is said.

The thresholds are gathered here so that a reader finds them in one place; a test stands on each.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .gather import curve, number, section

RHAT_WARN, RHAT_BAD = 1.01, 1.1
ESS_WARN, ESS_BAD = 100.0, 10.0
LOG_Z_AGREE, LOG_Z_BAD = 1.0, 3.0  # nats
AIS_ESS_WARN, AIS_ESS_BAD = 0.05, 0.01  # share of the chains
ACCEPT_BAD_LOW, ACCEPT_LOW, ACCEPT_HIGH, ACCEPT_BAD_HIGH = 0.05, 0.4, 0.95, 0.995
REJECTED_BAD = 0.01  # share of the training steps
DRIFT_NATS, DRIFT_PER_DIMENSION, DRIFT_ERRORS = 0.5, 0.03, 3.0
GAP_BLOW_UP = 20.0  # times the run's own median
OVERFIT_WARN, OVERFIT_BAD = 0.03, 0.15  # nats per dimension
FLOOR_WARN, FLOOR_BAD = 1.5, 5.0  # times the train-versus-held-out floor
FLOOR_ERRORS = 2.0
ACCURACY_BAD = 0.9  # of the classifier two-sample test
COPY_WARN = 0.8  # distance to the nearest training item, samples over held-out
EASY_OOD = 0.999  # a set on which every score is this good proves nothing
KL_BAD, MASS_WARN, MASS_BAD = 0.5, 0.05, 0.2
RADIUS_BAD = 5.0
TEMPERATURE_WARN, TEMPERATURE_BAD = 0.01, 0.5

LEVELS = ("ok", "unknown", "warn", "bad")


class Verdict(NamedTuple):
    """One line of the verdict.

    Attributes:
        level: "ok", "warn", "bad", or "unknown" where nothing was measured.
        title: What is judged, in a few words.
        sentence: The figure, the threshold and what follows from it.
    """

    level: str
    title: str
    sentence: str


class Facts(NamedTuple):
    """What a judge may look at: evaluation.json, run.json, the rows of metrics.jsonl and of alarms.jsonl."""

    evaluation: Mapping[str, Any]
    run: Mapping[str, Any]
    metrics: Sequence[Mapping[str, Any]]
    alarms: Sequence[Mapping[str, Any]]


def say(value: float | None, digits: int = 3) -> str:
    """A number as a reader wants it; None is "unknown", a NaN stays "not a number".

    Example:
        >>> say(1437.0), say(0.01234), say(-3.0, 2), say(None)
        ('1,437', '0.0123', '−3', 'unknown')
    """
    if value is None:
        return "unknown"
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    text = f"{value:.{digits - 1}e}" if size < -4 or size > 9 else f"{value:,.{max(0, digits - 1 - size)}f}"
    if "." in text and "e" not in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", "−")


def nats(value: float | None) -> str:
    """A likelihood with the same places for all: one behind the point from ten on, else three.

    Example:
        >>> nats(23.0), nats(1.64), nats(None)
        ('23.0', '1.640', 'unknown')
    """
    if value is None or not math.isfinite(value):
        return say(value)
    return f"{value:,.{1 if abs(value) >= 10 else 3}f}".replace("-", "−")


def dimensions(evaluation: Mapping[str, Any]) -> int | None:
    """How many numbers one sample holds, where the evaluation says so."""
    shape = section(evaluation, "dataset").get("shape")
    if not isinstance(shape, list) or not shape or not all(isinstance(n, int) and n > 0 for n in shape):
        return None
    return math.prod(shape)


def longest(runs: Any) -> Mapping[str, Any] | None:
    """The run of log_z's list with the most temperatures (then the most chains) whose estimate is a number."""
    if not isinstance(runs, list):
        return None
    usable = [r for r in runs if isinstance(r, Mapping) and number(r.get("estimate")) is not None]
    return max(
        usable, key=lambda r: (number(r.get("num_temperatures")) or 0, number(r.get("num_chains")) or 0), default=None
    )


def ess_share(run: Mapping[str, Any]) -> float | None:
    """The effective share of an annealed run's chains, in [0, 1]; its `ess` counts chains."""
    ess, chains = number(run.get("ess")), number(run.get("num_chains"))
    return ess / chains if ess is not None and chains else None


def floor_level(name: str, entry: Mapping[str, Any]) -> str:
    """The level of one sample-quality value beside its floor; "unknown" where either is missing.

    A value passes if it lies within two standard errors of its floor, or under 1.5 times a positive floor. The accuracy
    of the two-sample test starts at one half, so that no multiple of it is a measure: there only the errors count.
    """
    value, floor, error, other = (number(entry.get(key)) for key in ("value", "floor", "se", "floor_se"))
    if value is None or floor is None or math.isnan(value) or math.isnan(floor):
        return "unknown"
    if value <= floor or value - floor <= FLOOR_ERRORS * math.hypot(error or 0.0, other or 0.0):
        return "ok"
    if name == "c2st":
        return "bad" if value > ACCURACY_BAD else "warn"
    if floor > 0 and value <= FLOOR_WARN * floor:
        return "ok"
    return "bad" if floor > 0 and value > FLOOR_BAD * floor else "warn"


def last_quarter(rows: Sequence[Mapping[str, Any]], name: str) -> np.ndarray | None:
    """The finite values of a metric in the last quarter of its rows; None where it was not logged."""
    _, values = curve(rows, name)
    values = values[np.isfinite(values)]
    return values[-max(1, len(values) // 4) :] if len(values) else None


def aurocs(ood: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """AUROC by outside set and score, as far as they are finite numbers."""
    table: dict[str, dict[str, float]] = {}
    for name in ood:
        scores = {score: number(section(ood, name, score).get("auroc")) for score in section(ood, name)}
        table[name] = {score: value for score, value in scores.items() if value is not None and math.isfinite(value)}
    return table


_LABELS = {
    "gaussian": "Gaussian",
    "kde": "KDE",
    "mmd2": "MMD²",
    "sliced_wasserstein": "sliced Wasserstein distance",
    "c2st": "classifier two-sample test",
    "frechet": "Fréchet distance",
    "class_tv": "class frequencies",
    "bits": "independent bits",
    "mlp": "dense network",
    "rbm": "restricted Boltzmann machine",
    "conv": "convolutional network",
    "resnet": "residual network",
    "persistent_cd": "persistent contrastive divergence",
    "denoising": "denoising score matching",
    "multiscale_denoising": "denoising score matching at many noise levels",
    "annealed_denoising": "denoising score matching with falling noise",
    "fast_weights_pcd": "persistent contrastive divergence with fast weights",
    "tempered_pcd": "persistent contrastive divergence with tempered walkers",
    "replay_sgld": "Langevin walkers from a replay buffer",
    "short_run": "short-run learning",
    "improved_cd": "improved contrastive divergence",
    "jarzynski": "likelihood with Jarzynski's correction",
    "exact_likelihood": "exact maximum likelihood",
    "nce": "noise-contrastive estimation",
    "ranking_nce": "ranking noise-contrastive estimation",
    "conditional_nce": "conditional noise-contrastive estimation",
    "telescoping_nce": "telescoping noise-contrastive estimation",
    "self_normalised": "self-normalised likelihood",
    "kernel_stein": "the kernel Stein discrepancy",
    "learned_stein": "the learned Stein discrepancy",
    "concrete_score": "concrete score matching",
    "discrete_energy_discrepancy": "energy discrepancy",
    "jem": "cross-entropy and persistent contrastive divergence",
}


def label(name: str) -> str:
    """How a name of the files is said to a reader.

    Example:
        >>> label("gmm10"), label("sliced_wasserstein"), label("mine")
        ('GMM-10', 'sliced Wasserstein distance', 'mine')
    """
    if name[:3] in ("gmm", "bmm") and name[3:].isdigit():
        return f"{name[:3].upper()}-{name[3:]}"
    return _LABELS.get(name, name.replace("_", " "))
