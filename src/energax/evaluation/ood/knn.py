"""The distance of a feature vector's direction to its k-th nearest neighbour in the training data.

Source: Sun, Ming, Zhu and Li (2022), Out-of-distribution detection with deep nearest neighbors, arXiv:2204.06507,
    sec. 3 and algorithm 1. Searched by scikit-learn.
What differs: a row of zeros, which has no direction, stays zero (at distance 1 from all).
Cost: O(n m dim) for n rows against m training rows; keeps the training features. Fails where the length of a feature
vector is what tells, and where k is not small beside the rows of a class.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors

from energax.core import checks

from ..given import as_features


@dataclass(frozen=True)
class KNN:
    """Directions of the training features.

    Attributes:
        k: Which neighbour counts.
        searched: Finds neighbours among them.
    """

    k: int
    searched: NearestNeighbors

    def score(self, features: Any) -> np.ndarray:
        """Distance of z / |z| to its k-th nearest training direction, from 0 to 2, [n]; high is unusual.

        Args:
            features: [n, dim], of NumPy, JAX or PyTorch.

        Raises:
            ValueError: `features` are not finite rows of `dim` numbers.
        """
        rows = as_features("KNN.score", features, self.searched.n_features_in_)
        return self.searched.kneighbors(_directions(rows), self.k)[0][:, -1]


def fit_knn(features: Any, *, k: int = 50) -> KNN:
    """Keeps the directions of training features.

    Args:
        features: [n, dim], of NumPy, JAX or PyTorch.
        k: Which neighbour counts, from 1 to n; the paper takes 50 of 50,000.

    Raises:
        ValueError: A row is not finite, or `k` is more than there are rows.

    Example:
        >>> found = fit_knn(np.array([[1.0, 0.0], [0.0, 2.0]]), k=1)
        >>> found.score(np.array([[3.0, 0.0], [-1.0, 0.0]])).round(4).tolist()
        [0.0, 1.4142]
    """
    rows = as_features("fit_knn", features)
    checks.count("fit_knn", "k", k)
    if k > len(rows):
        raise ValueError(f"fit_knn.k must be at most the number of training rows, {len(rows)}; got {k}.")
    return KNN(k, NearestNeighbors(n_neighbors=k).fit(_directions(rows)))


def _directions(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
