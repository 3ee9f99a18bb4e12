"""Vector scaling: a weight and an offset for each class's logit.

Source: Guo, Pleiss, Sun and Weinberger (2017), On calibration of modern neural networks, arXiv:1706.04599, sec. 4.2.
What differs: nothing; the likelihood is concave and is climbed by L-BFGS (scipy) with its exact gradient.
Leaves nothing alone: choices may change. Afterwards the mean probability of every class is its frequency in the rows it
was fitted to. Cost: some hundred passes over n x classes. Fails with few rows a class, where it overfits.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from energax.errors import Unbounded

from ..given import as_labelled, as_logits

_FLAT = 1e-4  # largest entry of the gradient at an optimum, in nats
_STEP = 0.1  # of Newton at an optimum, in logits; about 1 for ever on the way to a maximum at infinity
_CURVED = 1e-10  # least curvature at an optimum, in nats per squared logit


@dataclass(frozen=True)
class VectorScaling:
    """softmax(weight * f + bias).

    Attributes:
        weight: [classes].
        bias: [classes], of mean 0.
    """

    weight: np.ndarray
    bias: np.ndarray

    def probabilities(self, logits: Any) -> np.ndarray:
        """softmax(weight * logits + bias), [n, classes]; raises ValueError unless `logits` are finite rows."""
        rows = as_logits("VectorScaling", logits)
        if rows.shape[1] != len(self.weight):
            raise ValueError(
                f"VectorScaling: logits must have {len(self.weight)} columns, as those it was fitted to; "
                f"got {rows.shape[1]}."
            )
        return softmax(self.weight * rows + self.bias, axis=1)


def fit_vector(logits: Any, labels: Any) -> VectorScaling:
    """The weights and offsets of the highest likelihood on held-out rows.

    Args:
        logits: [n, classes], held out from training, of NumPy, JAX or PyTorch.
        labels: Class numbers, [n]; every class must come.

    Raises:
        ValueError: Rows are not finite, or labels do not fit.
        Unbounded: No finite weights are best: labels lack a class, every row can be made right, or some can be made
            ever surer at no cost to the others.

    Example:
        >>> logits = np.tile([np.log(9.0), 0.0], (10, 1))
        >>> found = fit_vector(logits, np.array([0] * 7 + [1] * 3))
        >>> found.probabilities(logits)[0].round(4).tolist()
        [0.7, 0.3]
    """
    rows, numbers = as_labelled("fit_vector", logits, labels)
    num, classes = rows.shape
    missing = np.setdiff1d(np.arange(classes), numbers)
    if len(missing):
        raise Unbounded(f"fit_vector: labels must hold every class, or its offset is unbounded; got no {missing[0]}.")
    happened = np.eye(classes)[numbers]

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        log_p = log_softmax(at[:classes] * rows + at[classes:], axis=1)
        off = (np.exp(log_p) - happened) / num
        return -float(np.sum(log_p * happened)) / num, np.concatenate([np.sum(off * rows, axis=0), off.sum(axis=0)])

    start = np.concatenate([np.ones(classes), np.zeros(classes)])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-9})
    weight, bias = found.x[:classes], found.x[classes:] - found.x[classes:].mean()
    if np.all((weight * rows + bias).argmax(axis=1) == numbers):
        raise Unbounded("fit_vector: some row must stay wrong, or weights have no bound; got all of them right.")
    if np.max(np.abs(found.jac)) > _FLAT:
        raise Unbounded(f"fit_vector: the likelihood must have a finite maximum; L-BFGS found none ({found.message}).")
    if _still_rises(rows, weight, bias, found.jac):
        raise Unbounded(
            "fit_vector: rows must bound every weight; got some that may grow without end and make no row worse "
            f"(L-BFGS stopped at weights of up to {np.abs(weight).max():.3g}), as with too few rows a class."
        )
    return VectorScaling(weight, bias)


def _still_rises(rows: np.ndarray, weight: np.ndarray, bias: np.ndarray, slope: np.ndarray) -> bool:
    """Whether the likelihood has its maximum at infinity: in the tail of exp(-t) slope and curvature fall alike.

    Along each axis of the curvature: is it nothing, though rows move, or is Newton's step still of the order of 1?
    """
    num, classes = rows.shape
    size = np.sqrt(np.mean(rows**2, axis=0))
    size = np.where(size > 0, size, 1.0)
    unit = rows / size
    p = softmax(weight * rows + bias, axis=1)
    both = np.hstack([p * unit, p])
    curvature = -both.T @ both / num
    own = [(unit**2 * p).mean(axis=0), (unit * p).mean(axis=0), p.mean(axis=0)]
    at = np.arange(classes)
    for i, j, diagonal in ((0, 0, own[0]), (0, classes, own[1]), (classes, 0, own[1]), (classes, classes, own[2])):
        curvature[at + i, at + j] += diagonal
    values, axes = np.linalg.eigh(curvature)
    for value, axis in zip(values, axes.T, strict=True):
        moved = axis[:classes] * unit + axis[classes:]
        reach = np.ptp(moved, axis=1).max()
        if reach < 1e-7:
            continue  # an offset of all classes, or a weight of logits that are all alike: no row moves
        if value < _CURVED * reach**2:
            return True
        if abs(axis @ (slope / np.concatenate([size, np.ones(classes)]))) * reach > _STEP * value:
            return True
    return False
