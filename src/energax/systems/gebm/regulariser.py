"""The distance of an embedding from each class: a Gaussian a class, fitted to the labelled training nodes.

m_c(h) = (h - mu_c)^T S_c^{-1} (h - mu_c), without a factor 1/2, a determinant or a class prior.

Source: Fuchsgruber, Wollschläger and Günnemann (2024), Energy-based epistemic uncertainty for graph neural networks,
arXiv:2406.04043, the regulariser, as its reference code computes it; Lee, Lee, Lee and Shin (2018), arXiv:1807.03888,
eqs. (1) and (2), for the score.
What differs: `shrinkage`, and the tie to the covariance within classes, are not in the reference code.
Exact invariance: an invertible affine map of the embeddings leaves the distances of full covariances alone, and one of
each coordinate those of diagonal covariances, as long as no variance is near the floor of 1e-6.
Cost: O(nodes * dim * classes), with full covariances O(nodes * dim^2 * classes); rows are taken in blocks.
Fails: with the 20 labels a class of the usual splits a full covariance of 64 dimensions is singular, and the floor then
decides; units that are dead on a class have the floor for a variance, so that any activity counts as far away.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from energax import checks

from . import arrays

COVARIANCES = ("diagonal", "full", "isotropic", "identity")
TIES = ("no", "total", "within")
FLOOR = 1e-6
_BLOCK = 1 << 10
"""Rows that are worked on at once, so that what is laid out besides the input stays in the cache."""


@dataclass(frozen=True, eq=False)
class ClassGaussians:
    """Means and covariances of the classes.

    Attributes:
        means: [classes, dim].
        covariances: Variances [classes, dim], or matrices [classes, dim, dim] of covariance "full"; the least
            eigenvalue of each is above 1e-6.
    """

    means: np.ndarray
    covariances: np.ndarray

    @classmethod
    def fit(
        cls,
        embeddings: np.ndarray,
        labels: np.ndarray,
        classes: int,
        *,
        covariance: str = "diagonal",
        tied: str = "no",
        shrinkage: float = 0.0,
    ) -> "ClassGaussians":
        """Fits means and biased (1/N) covariances.

        Args:
            embeddings: Of the training nodes, [nodes, dim].
            labels: Their classes, [nodes] in [0, classes).
            classes: How many there are.
            covariance: "diagonal", "full", "isotropic" (the mean variance in all directions) or "identity".
            tied: "no"; "total" gives every class the covariance of all training embeddings about their common mean,
                as the reference code does; "within" that about the means of their classes.
            shrinkage: Share s in [0, 1] of S <- (1 - s) S + s v I with v the mean variance over classes and
                dimensions; 0 as in the paper.

        Raises:
            ValueError: Embeddings are not finite, labels do not fit, a class has fewer than 2 nodes, a name is unknown,
                `shrinkage` is out of range, or an option would change nothing beside the others.

        Example:
            >>> x = np.array([[0.0, 0.0], [2.0, 4.0], [5.0, 1.0], [7.0, 3.0]])
            >>> ClassGaussians.fit(x, np.array([0, 0, 1, 1]), 2).covariances
            array([[1., 4.],
                   [1., 1.]])
        """
        if covariance not in COVARIANCES:
            raise ValueError(f"ClassGaussians.covariance must be one of {', '.join(COVARIANCES)}; got {covariance!r}.")
        if tied not in TIES:
            raise ValueError(f"ClassGaussians.tied must be one of {', '.join(TIES)}; got {tied!r}.")
        checks.share("ClassGaussians", "shrinkage", shrinkage)
        _act(covariance, tied, shrinkage)
        h = np.asarray(arrays.matrix("ClassGaussians", "embeddings", embeddings), np.float64)
        labels = arrays.labels("ClassGaussians", labels, np.ones(len(h), bool), classes)
        groups = [h[labels == c] for c in range(classes)]
        means = np.stack([group.mean(axis=0) for group in groups])
        spread = _full if covariance == "full" else _diagonal
        if tied == "no":
            parts = [spread(group - mean) for group, mean in zip(groups, means, strict=True)]
        else:
            parts = [spread(h - (h.mean(axis=0) if tied == "total" else means[labels]))] * classes
        found = np.stack(parts)
        if covariance == "isotropic":
            found = np.broadcast_to(found.mean(axis=1, keepdims=True), found.shape)
        if covariance == "identity":
            found = np.ones_like(found)
        return cls(means, np.stack([_repaired(s) for s in _shrunk(found, shrinkage)]))

    def distances(self, embeddings: np.ndarray) -> np.ndarray:
        """m_c(h) of every node and class, float64 [nodes, classes].

        Args:
            embeddings: [nodes, dim].

        Raises:
            ValueError: They are not finite, or of another dimension.
        """
        embeddings = arrays.matrix("ClassGaussians", "embeddings", embeddings, columns=self.means.shape[1])
        out = np.empty((len(embeddings), len(self.means)))
        full = self.covariances.ndim == 3
        roots = [cholesky(s, lower=True) if full else 1.0 / s for s in self.covariances]
        for begin in range(0, len(embeddings), _BLOCK):
            block = np.asarray(embeddings[begin : begin + _BLOCK], np.float64)
            away = np.empty_like(block)
            for c, (mean, root) in enumerate(zip(self.means, roots, strict=True)):
                np.subtract(block, mean, out=away)
                if full:
                    solved = solve_triangular(root, away.T, lower=True, check_finite=False)
                    out[begin : begin + len(block), c] = np.einsum("dn,dn->n", solved, solved)
                else:
                    out[begin : begin + len(block), c] = np.square(away, out=away) @ root
        return out


def _act(covariance: str, tied: str, shrinkage: float) -> None:
    """ValueError where an option would change nothing beside the others."""
    if covariance == "identity" and (tied != "no" or shrinkage > 0):
        raise ValueError(
            "ClassGaussians.covariance 'identity' must stand alone, for it reads no variance; "
            f"got tied={tied!r}, shrinkage={shrinkage}."
        )
    if covariance == "isotropic" and tied != "no" and shrinkage > 0:
        raise ValueError(
            "ClassGaussians.shrinkage must be 0 where one isotropic variance is tied, for it is the mean already; "
            f"got {shrinkage}."
        )


def _diagonal(away: np.ndarray) -> np.ndarray:
    return np.mean(away**2, axis=0)


def _full(away: np.ndarray) -> np.ndarray:
    return away.T @ away / len(away)


def _shrunk(found: np.ndarray, share: float) -> np.ndarray:
    if found.ndim == 2:
        return (1.0 - share) * found + share * found.mean()
    dim = found.shape[1]
    mean = np.trace(found, axis1=1, axis2=2).mean() / dim
    return (1.0 - share) * found + share * mean * np.eye(dim)


def _repaired(s: np.ndarray) -> np.ndarray:
    """Adds 1e-8, 1e-7, ... of the identity until the least eigenvalue is above the floor: the reference code's way."""
    s = s if s.ndim == 1 else 0.5 * (s + s.T)
    least = float(s.min() if s.ndim == 1 else np.linalg.eigvalsh(s)[0])
    added, step = 0.0, 1e-8
    while least + added <= FLOOR:
        added, step = added + step, 10.0 * step
    return s + added * (1.0 if s.ndim == 1 else np.eye(len(s)))
