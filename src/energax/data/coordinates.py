"""Affine coordinates x = m + L z: whitening fitted on the training samples, with its Jacobian.

An energy is learned in z, where the data are round and of unit size; densities go back by
log p_x(x) = log p_z(z) - log|det L|. Sums run in float64; what comes back has the floating type of what went in.
"""

import dataclasses

import numpy as np

from energax.errors import DataError

from . import checks


@dataclasses.dataclass(frozen=True, eq=False)
class Affine:
    """The map x = mean + factor z and back.

    Attributes:
        mean: m, float64 `[d]`, in the units of x.
        factor: L, float64: lower triangular with positive diagonal `[d, d]`, or the diagonal alone `[d]` (> 0).

    Raises:
        ValueError: The shapes do not fit, the factor is not lower triangular, or its diagonal is not > 0.

    Example:
        >>> import numpy as np
        >>> coordinates = Affine(np.array([1.0, 2.0]), np.array([2.0, 4.0]))
        >>> coordinates.forward(np.array([[3.0, 2.0]])).tolist(), round(coordinates.log_det, 6)
        ([[1.0, 0.0]], 2.079442)
    """

    mean: np.ndarray
    factor: np.ndarray

    def __post_init__(self) -> None:
        mean, factor = np.array(self.mean, np.float64), np.array(self.factor, np.float64)
        d = mean.shape[0] if mean.ndim == 1 else 0
        if d < 1 or factor.shape not in ((d,), (d, d)):
            raise ValueError(f"Affine needs mean [d] and factor [d] or [d, d]; got {mean.shape} and {factor.shape}.")
        if not (np.all(np.isfinite(mean)) and np.all(np.isfinite(factor))):
            raise ValueError("Affine.mean and Affine.factor must be finite; got a non-finite entry.")
        if factor.ndim == 2 and np.any(np.triu(factor, 1)):
            raise ValueError("Affine.factor must be lower triangular; got a non-zero entry above the diagonal.")
        diagonal = factor if factor.ndim == 1 else np.diagonal(factor)
        if np.any(diagonal <= 0):
            raise ValueError(f"Affine.factor must have a diagonal > 0; got {diagonal.min()}.")
        for name, array in (("mean", mean), ("factor", factor)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def dim(self) -> int:
        """Number of coordinates d."""
        return len(self.mean)

    @property
    def is_diagonal(self) -> bool:
        """Whether every coordinate is scaled alone."""
        return self.factor.ndim == 1

    @property
    def log_det(self) -> float:
        """log|det L|, in nats: log p_x = log p_z - log_det."""
        return float(np.sum(np.log(self.factor if self.is_diagonal else np.diagonal(self.factor))))

    def forward(self, x: np.ndarray) -> np.ndarray:
        """z = L^-1 (x - m) for x `[..., d]`."""
        from scipy.linalg import solve_triangular

        x = self._rows("forward", x)
        centred = x.astype(np.float64) - self.mean
        if self.is_diagonal:
            z = centred / self.factor
        else:
            z = solve_triangular(self.factor, centred.reshape(-1, self.dim).T, lower=True).T.reshape(x.shape)
        return z.astype(x.dtype)

    def inverse(self, z: np.ndarray) -> np.ndarray:
        """x = m + L z for z `[..., d]`."""
        z = self._rows("inverse", z)
        wide = z.astype(np.float64)
        x = self.mean + (wide * self.factor if self.is_diagonal else wide @ self.factor.T)
        return x.astype(z.dtype)

    def _rows(self, name: str, x: np.ndarray) -> np.ndarray:
        array = np.asarray(x)
        if array.ndim < 1 or array.shape[-1] != self.dim:
            raise ValueError(f"Affine.{name} takes arrays of shape [..., {self.dim}]; got shape {array.shape}.")
        if array.dtype.kind not in "fiu":
            raise ValueError(f"Affine.{name} takes real numbers; got dtype {array.dtype}.")
        return array if array.dtype.kind == "f" else array.astype(np.float64)


def fit_whitening(x: np.ndarray, noise: float, kind: str = "full") -> Affine:
    """Coordinates in which the samples, blurred by Gaussian noise, have zero mean and unit covariance.

    m is the mean of x and L L^T its covariance (divisor n) plus noise^2 I. For `kind="diagonal"` only the variances
    count, and `kind="none"` is the identity map.

    Args:
        x: Training samples `[n, ...]`, n >= 2; flattened to `[n, d]`.
        noise: Standard deviation of the noise added to the samples in training, >= 0, in the units of x.
        kind: "full", "diagonal" or "none".

    Raises:
        ValueError: An argument is out of range.
        DataError: The covariance is singular: a constant coordinate or fewer samples than coordinates, without noise.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(100, 3)) @ np.diag([1.0, 2.0, 3.0])
        >>> z = fit_whitening(x, noise=0.0).forward(x)
        >>> bool(np.allclose(np.cov(z.T, bias=True), np.eye(3)))
        True
    """
    checks.choice("fit_whitening", "kind", kind, ("full", "diagonal", "none"))
    checks.number("fit_whitening", "noise", noise, low=0.0, high=np.inf, closed=True)
    x = np.asarray(x)
    checks.rows("fit_whitening.x", x)
    rows = x.reshape(len(x), -1).astype(np.float64)
    dim = rows.shape[1]
    if kind == "none":
        return Affine(np.zeros(dim), np.ones(dim))
    mean = rows.mean(axis=0)
    centred = rows - mean
    variance = np.mean(centred**2, axis=0) + noise**2
    # A column that is constant up to round-off has no scale of its own: only the noise gives it one.
    flat = np.flatnonzero(variance <= (1e-7 * np.maximum(1.0, np.abs(mean))) ** 2)
    if flat.size:
        raise DataError(
            f"fit_whitening.x must vary in every coordinate when noise = {noise}; got a constant one, {flat[0]}."
        )
    if kind == "diagonal":
        return Affine(mean, np.sqrt(variance))
    covariance = centred.T @ centred / len(rows) + noise**2 * np.eye(dim)
    try:
        return Affine(mean, np.linalg.cholesky(covariance))
    except np.linalg.LinAlgError:
        raise DataError(
            f"fit_whitening needs noise > 0 or kind='diagonal' when the covariance of {len(rows)} samples in {dim} "
            f"coordinates is singular; got noise = {noise}."
        ) from None
