"""Out-of-distribution detection by a score: AUROC, AUPR and FPR95, with bootstrap intervals.

Source: Hendrycks and Gimpel (2017), A baseline for detecting misclassified and out-of-distribution examples,
arXiv:1610.02136 (AUROC, AUPR); Liang, Li and Srikant (2018), arXiv:1706.02690, section 4.3 (FPR at 95 % TPR).
Convention, once: the score is an energy, HIGH means foreign. AUROC and AUPR take the foreign samples as positives.
FPR95 is the share of foreign samples let in by the threshold that keeps at least 95 % of the in-distribution ones.
Cost: O(n log n) a resample. Fails: AUPR depends on how many samples each side has; uniform noise and shuffled pixels
give 1.000 to every model, so only hard sets say anything.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from energax.core import checks


@dataclass(frozen=True)
class Detection:
    """How well a score tells foreign samples from known ones.

    Attributes:
        auroc: Area under the ROC curve: P(score foreign > score known), ties half; 0.5 is chance.
        aupr: Average precision with foreign samples as positives; chance is their share.
        fpr95: Share of foreign samples below the threshold that keeps >= 95 % of the known; lower is better.
        auroc_interval: 95 % bootstrap interval, samples of each side resampled.
        aupr_interval: The same of `aupr`.
        fpr95_interval: The same of `fpr95`.
        num_known: In-distribution samples.
        num_foreign: Foreign samples.
    """

    auroc: float
    aupr: float
    fpr95: float
    auroc_interval: tuple[float, float]
    aupr_interval: tuple[float, float]
    fpr95_interval: tuple[float, float]
    num_known: int
    num_foreign: int

    def as_dict(self) -> dict:
        """Plain numbers under the names of `evaluation.json`, intervals as lists."""
        names = ("auroc", "aupr", "fpr95")
        plain: dict = {name: getattr(self, name) for name in names}
        return plain | {f"{name}_interval": list(getattr(self, f"{name}_interval")) for name in names}


def detect(known: Any, foreign: Any, *, seed: int = 0, num_bootstrap: int = 200) -> Detection:
    """Scores a detector from its energies on known and on foreign samples.

    Args:
        known: Energies of in-distribution (held-out) samples, [n], finite, of NumPy, JAX or PyTorch.
        foreign: Energies of out-of-distribution samples, [m], finite.
        seed: Of the bootstrap.
        num_bootstrap: Resamples, >= 10.

    Raises:
        ValueError: A side is empty, not one-dimensional, or holds a NaN or an infinity.

    Example:
        >>> import numpy as np
        >>> found = detect(np.array([0.0, 1.0, 2.0]), np.array([1.5, 3.0, 4.0]))
        >>> round(found.auroc, 3)
        0.889
    """
    checks.count("detect", "num_bootstrap", num_bootstrap, 10)
    checks.count("detect", "seed", seed, 0)
    known, foreign = _scores("detect", "known", known), _scores("detect", "foreign", foreign)
    rng = np.random.default_rng(seed)
    resampled = np.array(
        [_figures(rng.choice(known, len(known)), rng.choice(foreign, len(foreign))) for _ in range(num_bootstrap)]
    )
    low, high = np.quantile(resampled, [0.025, 0.975], axis=0)
    area, precision, leak = _figures(known, foreign)
    area_interval, precision_interval, leak_interval = ((float(a), float(b)) for a, b in zip(low, high, strict=True))
    return Detection(
        auroc=area,
        aupr=precision,
        fpr95=leak,
        auroc_interval=area_interval,
        aupr_interval=precision_interval,
        fpr95_interval=leak_interval,
        num_known=len(known),
        num_foreign=len(foreign),
    )


def detect_labelled(scores: Any, is_foreign: Any, *, seed: int = 0, num_bootstrap: int = 200) -> Detection:
    """The same from one array of energies and one of labels.

    Args:
        scores: Energies, [n], finite.
        is_foreign: Booleans or 0/1, [n]; both must occur.
        seed: Of the bootstrap.
        num_bootstrap: Resamples, >= 10.

    Raises:
        ValueError: Lengths differ, a score is not finite, a label is not 0 or 1, or only one class occurs.

    Example:
        >>> found = detect_labelled(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0, 0, 1, 1]))
        >>> found.auroc
        1.0
    """
    scores = _scores("detect_labelled", "scores", scores)
    labels = np.asarray(checks.on_host("detect_labelled", "is_foreign", is_foreign))
    if labels.shape != scores.shape:
        raise ValueError(
            f"detect_labelled.is_foreign must be as long as scores, {scores.shape}; got shape {labels.shape}."
        )
    if not np.all(np.isin(labels, (0, 1))):
        raise ValueError("detect_labelled.is_foreign must hold only booleans or 0 and 1; got other values.")
    if len(np.unique(labels)) < 2:
        only = "foreign" if labels[0] else "known"
        raise ValueError(f"detect_labelled.is_foreign must name both known and foreign samples; got only {only} ones.")
    chosen = labels.astype(bool)
    return detect(scores[~chosen], scores[chosen], seed=seed, num_bootstrap=num_bootstrap)


def auroc(known: np.ndarray, foreign: np.ndarray) -> float:
    """P(foreign score > known score) + P(equal) / 2.

    Raises:
        ValueError: A score is not finite, or there is none.

    Example:
        >>> auroc(np.array([0.0, 1.0, 2.0]), np.array([2.0, 3.0]))  # 5 of 6 pairs in order, one a tie
        0.9166666666666666
    """
    return _auroc(_scores("auroc", "known", known), _scores("auroc", "foreign", foreign))


def _auroc(known: np.ndarray, foreign: np.ndarray) -> float:
    ranks = rankdata(np.concatenate([known, foreign]))
    n, m = len(known), len(foreign)
    return float((ranks[n:].sum() - m * (m + 1) / 2) / (n * m))


def aupr(known: np.ndarray, foreign: np.ndarray) -> float:
    """Average precision, foreign positive: sum over thresholds of precision times the gain in recall.

    Raises:
        ValueError: A score is not finite, or there is none.

    Example:
        >>> aupr(np.array([0.0, 1.0]), np.array([2.0, 3.0]))
        1.0
    """
    return _aupr(_scores("aupr", "known", known), _scores("aupr", "foreign", foreign))


def _aupr(known: np.ndarray, foreign: np.ndarray) -> float:
    scores = np.concatenate([known, foreign])
    positive = np.repeat([0.0, 1.0], [len(known), len(foreign)])
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(positive[order])
    last = np.append(np.diff(scores[order]) != 0, True)  # equal scores share one threshold
    recall = hits[last] / len(foreign)
    precision = hits[last] / (np.flatnonzero(last) + 1)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def fpr95(known: np.ndarray, foreign: np.ndarray) -> float:
    """Share of foreign samples at or below the smallest threshold that keeps >= 95 % of the known.

    Raises:
        ValueError: A score is not finite, or there is none.

    Example:
        >>> fpr95(np.arange(20.0), np.array([5.0, 30.0]))
        0.5
    """
    return _fpr95(_scores("fpr95", "known", known), _scores("fpr95", "foreign", foreign))


def _fpr95(known: np.ndarray, foreign: np.ndarray) -> float:
    kept = int(np.ceil(0.95 * len(known) - 1e-9))
    return float(np.mean(foreign <= np.partition(known, kept - 1)[kept - 1]))


def _figures(known: np.ndarray, foreign: np.ndarray) -> tuple[float, float, float]:
    return _auroc(known, foreign), _aupr(known, foreign), _fpr95(known, foreign)


def _scores(owner: str, name: str, scores: Any) -> np.ndarray:
    return checks.array(owner, name, scores, ndim=1)
