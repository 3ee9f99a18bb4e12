"""The Mahalanobis distance of a feature vector to the nearest class, all classes sharing one covariance.

Source: Lee, Lee, Lee and Shin (2018), A simple unified framework for detecting out-of-distribution samples and
    adversarial attacks, arXiv:1807.03888, eqs. (1) and (2); the shrinkage: Ledoit and Wolf (2004),
    doi:10.1016/S0047-259X(03)00096-4.
What differs: the covariance is shrunk towards its mean variance, without which features that never change make it
singular; one layer, no input perturbation.
Cost: O(n dim^2) to fit, O(n classes dim) to score. Fails on near classes: directions that hold no class information
dominate the distance (`fit_relative_mahalanobis` takes them away), and features of one class may be no Gaussian.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular
from sklearn.covariance import ledoit_wolf_shrinkage

from energax.core import checks

from ..given import as_features

_SINGULAR = 1e-12


@dataclass(frozen=True)
class Mahalanobis:
    """Class means, and the factor L of the covariance L L^T that they share.

    Attributes:
        means: [classes, dim].
        factor: [dim, dim], lower triangular.
        shrinkage: Share of the mean variance in the covariance, in [0, 1].
    """

    means: np.ndarray
    factor: np.ndarray
    shrinkage: float

    def score(self, features: Any) -> np.ndarray:
        """min_c (z - mean_c)^T Sigma^-1 (z - mean_c) of every row, >= 0, [n]; high is unusual.

        Args:
            features: [n, dim], of NumPy, JAX or PyTorch.

        Raises:
            ValueError: `features` are not finite rows of `dim` numbers.
        """
        rows = as_features("Mahalanobis.score", features, self.means.shape[1])
        return self.distances(rows).min(axis=1)

    def distances(self, rows: np.ndarray) -> np.ndarray:
        """The squared distance of every row to every class, [n, classes]."""
        white, centres = (solve_triangular(self.factor, side.T, lower=True).T for side in (rows, self.means))
        return np.stack([np.sum((white - centre) ** 2, axis=1) for centre in centres], axis=1)


def fit_mahalanobis(features: Any, labels: Any, *, shrinkage: float | None = None) -> Mahalanobis:
    """Means of the classes and their common covariance, from training features.

    Args:
        features: [n, dim], of NumPy, JAX or PyTorch; n >= 2.
        labels: Class numbers, [n].
        shrinkage: Share of the mean variance in the covariance, in [0, 1); None takes Ledoit and Wolf's.

    Raises:
        ValueError: A row is not finite, there is not one label a row, `shrinkage` is out of range, or the covariance
            is singular.

    Example:
        >>> features = np.array([[0.0, 1.0], [0.0, -1.0], [8.0, 1.0], [8.0, -1.0], [1.0, 0.0], [-1.0, 0.0]])
        >>> found = fit_mahalanobis(features, np.array([0, 0, 1, 1, 0, 0]), shrinkage=0.0)
        >>> found.score(np.array([[0.0, 0.0], [0.0, 3.0]])).round(2).tolist()  # the variances are 1/3 and 2/3
        [0.0, 13.5]
    """
    rows = as_features("fit_mahalanobis", features, least=2)
    numbers = checks.labels("fit_mahalanobis", "labels", labels, len(rows))
    classes, owners = np.unique(numbers, return_inverse=True)
    means = np.stack([rows[owners == c].mean(axis=0) for c in range(len(classes))])
    return Mahalanobis(means, *covariance_factor("fit_mahalanobis", rows - means[owners], shrinkage))


def covariance_factor(owner: str, centred: np.ndarray, shrinkage: float | None) -> tuple[np.ndarray, float]:
    """(L, the share that was taken): L L^T = (1 - share) S + share tr(S) / dim, S the mean square of `centred`.

    Raises:
        ValueError: `shrinkage` is not in [0, 1), or the covariance is singular.
    """
    if shrinkage is None:
        share = float(ledoit_wolf_shrinkage(centred, assume_centered=True))
    else:
        checks.non_negative(owner, "shrinkage", shrinkage, ndim=0)
        share = float(shrinkage)
        if share >= 1:
            raise ValueError(f"{owner}.shrinkage must be in [0, 1); got {shrinkage}.")
    covariance = centred.T @ centred / len(centred)
    dim = len(covariance)
    covariance = (1 - share) * covariance + share * np.trace(covariance) / dim * np.eye(dim)
    try:
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        factor = np.zeros_like(covariance)
    # what is left of a column's variance given those before it: rounding may leave a little of nothing
    if np.any(np.diag(factor) ** 2 <= _SINGULAR * np.diag(covariance)):
        raise ValueError(
            f"{owner}: features must vary in every direction within their classes, or shrinkage be larger; "
            f"got a singular covariance of {len(centred)} rows in {dim} dimensions with shrinkage {share:g}."
        )
    return factor, share
