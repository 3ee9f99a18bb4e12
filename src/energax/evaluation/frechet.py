"""Frechet distance between feature clouds, and features of a small classifier trained on the labelled training set.

Source: Dowson and Landau (1982), The Frechet distance between multivariate normal distributions,
doi:10.1016/0047-259X(82)90077-X, eq. (4). With features of a classifier trained on the data at hand it is here called
the *classifier* Frechet distance; it is not FID (Heusel et al. 2017), whose Inception features it does not use, and
figures of the two must not be compared.
Cost: O(features^3). Fails: it compares means and covariances only, it is biased upward like features^2 / n (so the
floor is taken at the same n), and two classifiers give two scales: quote the ratio to the floor. On 360 noisy 8x8
digits a fitted full Gaussian stands at 1.4 to 2.5 times the floor, so a ratio near 1.5 is weak praise; the
nearest-neighbour test of sample_distance.py tells it apart by 6 to 9 standard errors there.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from energax.core import checks

from .rows import as_rows
from .sample_distance import Distance, against_floor


def frechet_between_gaussians(mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray) -> float:
    """|m_a - m_b|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2), exact for Gaussians, in squared units of the features.

    Args:
        mean_a: [dim].
        cov_a: [dim, dim], symmetric, positive semidefinite.
        mean_b: [dim].
        cov_b: [dim, dim].

    Raises:
        ValueError: Shapes do not fit or a number is not finite.

    Example:
        >>> frechet_between_gaussians(np.zeros(2), np.eye(2), np.ones(2), 4.0 * np.eye(2))  # 2 of means, 2 of widths
        4.0
    """
    parts = [np.atleast_1d(np.asarray(part, np.float64)) for part in (mean_a, cov_a, mean_b, cov_b)]
    mean_a, cov_a, mean_b, cov_b = parts
    dim = len(mean_a)
    if [part.shape for part in parts] != [(dim,), (dim, dim), (dim,), (dim, dim)]:
        raise ValueError(
            f"frechet_between_gaussians: means must be [dim] covariances [dim, dim]; got {[p.shape for p in parts]}"
        )
    for name, part in zip(("mean_a", "cov_a", "mean_b", "cov_b"), parts, strict=True):
        checks.finite("frechet_between_gaussians", name, part)
    root = _symmetric_root(cov_a)
    # Eigenvalues below 0 are round-off of a semidefinite matrix; their roots are 0, not NaN.
    mixed = np.sqrt(np.clip(eigh(root @ cov_b @ root, eigvals_only=True), 0.0, None)).sum()
    return float(np.sum((mean_a - mean_b) ** 2) + np.trace(cov_a) + np.trace(cov_b) - 2.0 * mixed)


def frechet_distance(features_a: np.ndarray, features_b: np.ndarray) -> float:
    """Frechet distance between the Gaussians fitted to two sets of features [n, dim], n >= 2.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 2))
        >>> round(frechet_distance(x, x + 1.0), 6)
        2.0
    """
    a, b = as_rows("frechet_distance", "features_a", features_a), as_rows("frechet_distance", "features_b", features_b)
    return frechet_between_gaussians(
        a.mean(axis=0), np.atleast_2d(np.cov(a.T)), b.mean(axis=0), np.atleast_2d(np.cov(b.T))
    )


@dataclass(frozen=True)
class ClassifierFeatures:
    """The ReLU units of a one-layer classifier; calling it maps samples [n, ...] to features [n, units].

    Attributes:
        network: The fitted scikit-learn classifier.
        train_accuracy: On the samples it was fitted to, in [0, 1].
    """

    network: MLPClassifier
    train_accuracy: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        rows = as_rows("ClassifierFeatures", "x", x, least=1)
        return np.maximum(rows @ self.network.coefs_[0] + self.network.intercepts_[0], 0.0)

    def classes(self, x: np.ndarray) -> np.ndarray:
        """The class the network gives to each sample."""
        return self.network.predict(as_rows("ClassifierFeatures", "x", x, least=1))

    def accuracy(self, x: np.ndarray, y: np.ndarray) -> float:
        """Share of samples put into their class."""
        return float(np.mean(self.classes(x) == np.asarray(y)))


def fit_classifier_features(
    x: np.ndarray, y: np.ndarray, *, units: int = 24, seed: int = 0, max_epochs: int = 100
) -> ClassifierFeatures:
    """Trains the small classifier whose hidden layer gives the features.

    Args:
        x: Training samples, on axis 0, with the noise that the compared samples carry.
        y: Their classes, integers, at least two different ones.
        units: ReLU units, >= 1.
        seed: Of weights and batches.
        max_epochs: Passes over the data at most, >= 1; stopping there is no error, the features need no optimum.

    Raises:
        ValueError: `x` is not finite, `y` has another length, or there is one class only.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> y = rng.integers(0, 2, 200)
        >>> x = rng.normal(size=(200, 2)) + 4.0 * y[:, None]
        >>> features = fit_classifier_features(x, y, units=4, max_epochs=20)
        >>> features.train_accuracy > 0.95
        True
    """
    rows = as_rows("fit_classifier_features", "x", x)
    labels = np.asarray(y)
    checks.count("fit_classifier_features", "units", units)
    checks.count("fit_classifier_features", "max_epochs", max_epochs)
    if labels.shape != (len(rows),) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"fit_classifier_features.y must hold {len(rows)} integer classes; got shape {labels.shape} {labels.dtype}."
        )
    if len(np.unique(labels)) < 2:
        raise ValueError(f"fit_classifier_features.y must hold >= 2 classes; got only {labels[0]}.")
    network = MLPClassifier(
        (units,),
        alpha=1e-3,
        learning_rate_init=5e-3,
        batch_size=min(64, len(rows)),
        max_iter=max_epochs,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(rows, labels)
    return ClassifierFeatures(network, float(network.score(rows, labels)))


def classifier_frechet(
    features: ClassifierFeatures, samples: np.ndarray, train: np.ndarray, test: np.ndarray, *, seed: int = 0
) -> Distance:
    """Classifier Frechet distance of samples to held-out data beside the train-versus-held-out floor, equal sizes.

    Raises:
        ValueError: A set is too small, not finite or of another width.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> y = rng.integers(0, 2, 200)
        >>> x = rng.normal(size=(200, 2)) + 4.0 * y[:, None]
        >>> features = fit_classifier_features(x, y, units=4, max_epochs=20)
        >>> found = classifier_frechet(features, x[:60] + 2.0, x[60:120], x[120:])
        >>> found.value > found.floor
        True
    """
    ours, theirs, held = features(samples), features(train), features(test)
    return against_floor("classifier_frechet", frechet_distance, ours, theirs, held, seed)


def _symmetric_root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = eigh(matrix)
    return (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
