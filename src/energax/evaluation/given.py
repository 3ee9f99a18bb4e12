"""What a classifier hands over: logits, labels, features and the head on them; checked, float64, from any library."""

from typing import Any

import numpy as np

from energax.core import checks


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
