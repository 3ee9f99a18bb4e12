"""What a classifier hands over: logits, labels, features and the head on them; checked, float64, from any library."""

from typing import Any

import numpy as np

from energax.core import checks

_OFF_ONE = 1e-5  # what float32 rounding may leave of a row's sum


def as_logits(owner: str, logits: Any, *, least: int = 1) -> np.ndarray:
    """`logits` as float64 [n, classes]; raises ValueError unless they are finite, of >= `least` rows and 2 classes."""
    array = checks.array(owner, "logits", logits, least=least, ndim=2)
    if array.shape[1] < 2:
        raise ValueError(f"{owner}: logits must have at least 2 columns, one a class; got shape {array.shape}.")
    return array


def as_features(owner: str, features: Any, width: int | None = None, *, least: int = 1) -> np.ndarray:
    """`features` as float64 [n, dim]; raises ValueError unless they are finite, of `width` columns if given."""
    array = checks.array(owner, "features", features, least=least, ndim=2)
    if width is not None and array.shape[1] != width:
        raise ValueError(f"{owner}: features must have {width} columns, as those it learnt from; got {array.shape[1]}.")
    return array


def as_head(owner: str, weight: Any, bias: Any) -> tuple[np.ndarray, np.ndarray]:
    """A head as float64 (weight [classes, dim], bias [classes]), where logits = weight @ features + bias."""
    matrix = checks.array(owner, "weight", weight, least=2, ndim=2)
    offset = checks.array(owner, "bias", bias, ndim=1)
    if len(offset) != len(matrix):
        raise ValueError(
            f"{owner}: weight must have one row a class, as bias has entries ({len(offset)}); got {len(matrix)} rows."
        )
    return matrix, offset


def as_labelled(
    owner: str, logits: Any, labels: Any, side: str = "", *, least: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """(logits as float64 [n, classes], labels as int64 [n]); raises ValueError unless they fit each other."""
    owner = f"{owner} ({side} side)" if side else owner
    rows = as_logits(owner, logits, least=least)
    return rows, checks.labels(owner, "labels", labels, len(rows), classes=rows.shape[1])


def as_predictions(owner: str, probabilities: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """(probabilities as float64 [n, classes], labels as int64 [n]); raises ValueError unless rows sum to 1 and fit."""
    rows = checks.array(owner, "probabilities", probabilities, ndim=2)
    if rows.shape[1] < 2:
        raise ValueError(f"{owner}: probabilities must have at least 2 columns, one a class; got shape {rows.shape}.")
    if rows.min() < 0:
        raise ValueError(f"{owner}: probabilities must be >= 0; got {rows.min():g}.")
    off = np.abs(rows.sum(axis=1) - 1.0)
    if off.max() > _OFF_ONE:
        raise ValueError(
            f"{owner}: probabilities of a row must sum to 1; got {rows[off.argmax()].sum():g} in row {off.argmax()}."
        )
    return rows, checks.labels(owner, "labels", labels, len(rows), classes=rows.shape[1])
