"""Every score by name: what it reads of the samples to be scored, what it learns from, and how it is made.

A set of arrays is a mapping of these names: `logits` [n, classes], `features` [n, dim] (what the last layer reads),
`energy` [n] and `background` [n] (of a trained energy and of one to compare with), `score` [n] (any other, high is
unusual); of the training data also `labels` [n]; and the head, `weight` [classes, dim] and `bias` [classes].
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from energax.core import checks

from .ash import ash_b, ash_p, ash_s
from .energy_score import energy_score
from .entropy import entropy
from .knn import fit_knn
from .likelihood_ratio import likelihood_ratio
from .mahalanobis import fit_mahalanobis
from .max_logit import max_logit
from .max_softmax import max_softmax
from .react import fit_react
from .relative_mahalanobis import fit_relative_mahalanobis
from .typicality import fit_typicality

Arrays = Mapping[str, Any]
Scorer = Callable[[Arrays], np.ndarray]


@dataclass(frozen=True)
class Detector:
    """One score.

    Attributes:
        title: What it is, in a few words.
        reads: Arrays of the samples to be scored.
        learns: Arrays that it is made from: of the training data, and of the head.
        make: The arrays that it learns from -> a function of those to be scored, to one number each, high for unusual.
    """

    title: str
    reads: tuple[str, ...]
    learns: tuple[str, ...]
    make: Callable[[Arrays], Scorer]


def detectors(*, temperature: float = 1.0, k: int = 50) -> dict[str, Detector]:
    """Every score by name, in the order of tables.

    Args:
        temperature: Of the softmax and of the energy, > 0.
        k: Which neighbour counts, >= 1 (see `fit_knn`); of fewer training rows the last one.

    Raises:
        ValueError: `temperature` or `k` is out of range.

    Example:
        >>> detectors()["energy"].make({})({"logits": np.zeros((1, 2))}).round(4).tolist()
        [-0.6931]
    """
    checks.positive("detectors", "temperature", temperature, ndim=0)
    checks.count("detectors", "k", k)
    head, at = ("weight", "bias"), {"temperature": temperature}

    def nearest(t: Arrays) -> Scorer:
        found = fit_knn(t["features"], k=min(k, len(t["features"])))
        return lambda a: found.score(a["features"])

    def learnt(fit: Callable) -> Callable[[Arrays], Scorer]:
        def make(t: Arrays) -> Scorer:
            found = fit(t["features"], t["labels"])
            return lambda a: found.score(a["features"])

        return make

    def clipped(t: Arrays) -> Scorer:
        found = fit_react(t["features"], t["weight"], t["bias"])
        return lambda a: found.score(a["features"], **at)

    def shaped(ash: Callable) -> Callable[[Arrays], Scorer]:
        return lambda t: lambda a: ash(a["features"], t["weight"], t["bias"], **at)

    def typical(t: Arrays) -> Scorer:
        found = fit_typicality(t["energy"])
        return lambda a: found.score(a["energy"])

    def of(name: str, score: Callable, **fixed: Any) -> Callable[[Arrays], Scorer]:
        return lambda t: lambda a: score(a[name], **fixed)

    logits, features, known = ("logits",), ("features",), ("features", "labels")
    return {
        "max-softmax": Detector("probability of the likeliest class", logits, (), of("logits", max_softmax, **at)),
        "entropy": Detector("entropy of the classes", logits, (), of("logits", entropy, **at)),
        "max-logit": Detector("largest logit", logits, (), of("logits", max_logit)),
        "energy": Detector("energy of the logits", logits, (), of("logits", energy_score, **at)),
        "mahalanobis": Detector("distance to the nearest class", features, known, learnt(fit_mahalanobis)),
        "relative-mahalanobis": Detector(
            "the same less the distance to all", features, known, learnt(fit_relative_mahalanobis)
        ),
        "knn": Detector("distance to the k-th nearest neighbour", features, features, nearest),
        "react": Detector("energy after activations are cut", features, (*features, *head), clipped),
        "ash-p": Detector("energy after activations are pruned", features, head, shaped(ash_p)),
        "ash-b": Detector("energy after activations are made equal", features, head, shaped(ash_b)),
        "ash-s": Detector("energy after activations are scaled", features, head, shaped(ash_s)),
        "trained-energy": Detector("energy of a trained model", ("energy",), (), of("energy", _given)),
        "typicality": Detector("distance from the usual energy", ("energy",), ("energy",), typical),
        "likelihood-ratio": Detector(
            "energy less that of a background",
            ("energy", "background"),
            (),
            lambda t: lambda a: likelihood_ratio(a["energy"], a["background"]),
        ),
        "score": Detector("a score of your own", ("score",), (), of("score", _given)),
    }


def _given(values: Any) -> np.ndarray:
    return checks.array("detectors", "energy or score", values, ndim=1)
