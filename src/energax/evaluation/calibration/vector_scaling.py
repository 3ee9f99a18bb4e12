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

from ..given import as_labelled, as_logits

_FLAT = 1e-4  # largest entry of the gradient at an optimum, in nats


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
        ValueError: Rows are not finite, labels do not fit or lack a class, or every row can be made right.

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
        raise ValueError(f"fit_vector: labels must hold every class, or its offset is unbounded; got no {missing[0]}.")
    happened = np.eye(classes)[numbers]

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        log_p = log_softmax(at[:classes] * rows + at[classes:], axis=1)
        off = (np.exp(log_p) - happened) / num
        return -float(np.sum(log_p * happened)) / num, np.concatenate([np.sum(off * rows, axis=0), off.sum(axis=0)])

    start = np.concatenate([np.ones(classes), np.zeros(classes)])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-9})
    weight, bias = found.x[:classes], found.x[classes:] - found.x[classes:].mean()
    if np.all((weight * rows + bias).argmax(axis=1) == numbers):
        raise ValueError("fit_vector: some row must stay wrong, or weights have no bound; got all of them right.")
    if np.max(np.abs(found.jac)) > _FLAT:
        raise ValueError(f"fit_vector: the likelihood must have a finite maximum; L-BFGS found none ({found.message}).")
    return VectorScaling(weight, bias)
