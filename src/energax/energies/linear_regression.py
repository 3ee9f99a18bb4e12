"""Bayesian linear regression with known noise: the posterior over weights, all of it in closed form.

Source: Bishop (2006), Pattern recognition and machine learning, eqs (3.49) to (3.54).
Exact: the evidence (log Z), moments, samples, density. Cost: rows times dim operations per value.
Where it fails: nearly collinear features make the posterior as narrow as it is wide, which float32 resolves to a
condition number of about 10^6.
"""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, solve_triangular
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractDensity, AbstractEnergy, Cond, Key, checks


class LinearRegression(AbstractEnergy, AbstractDensity):
    """E(w) = -log p(y, w): y ~ N(X w, noise_scale^2) and w ~ N(0, prior_scale^2), every constant kept.

    Args:
        features: X, floating, [rows, dim]; a column of ones is the intercept.
        targets: y, [rows].
        noise_scale: Standard deviation of the noise, in the units of y, > 0.
        prior_scale: Standard deviation of every weight, > 0.

    Raises:
        ValueError: Shapes do not fit, an entry is not finite, a scale is not > 0, or w does not fit.

    Example:
        >>> round(float(five_points_posterior().log_z()), 4)
        -9.3341
    """

    conditional: ClassVar[bool] = False
    features: Float[Array, "rows dim"]
    targets: Float[Array, " rows"]
    noise_scale: float | Scalar
    prior_scale: float | Scalar

    def __init__(self, features: Array, targets: Array, noise_scale: float | Scalar, prior_scale: float | Scalar):
        features = jnp.asarray(features)
        checks.samples("LinearRegression", "features", features, ndim=2)
        targets = jnp.asarray(targets, features.dtype)
        if targets.shape != features.shape[:1]:
            raise ValueError(f"LinearRegression.targets must have shape {features.shape[:1]}; got {targets.shape}.")
        checks.finite("LinearRegression", "targets", targets)
        checks.positive("LinearRegression", "noise_scale", noise_scale, ndim=0)
        checks.positive("LinearRegression", "prior_scale", prior_scale, ndim=0)
        self.features, self.targets = features, targets
        self.noise_scale, self.prior_scale = noise_scale, prior_scale

    def __call__(self, x: Float[Array, " dim"], cond: Cond = None) -> Scalar:
        """-log p(y, w) in nats."""
        rows, dim = self.features.shape
        if x.shape != (dim,):
            raise ValueError(f"LinearRegression: w must be ONE sample of shape ({dim},); got shape {x.shape}.")
        misfit = (self.targets - self.features @ x) / self.noise_scale
        shrunk = x / self.prior_scale
        constant = rows * jnp.log(self.noise_scale) + dim * jnp.log(self.prior_scale)
        return 0.5 * (jnp.sum(misfit**2) + jnp.sum(shrunk**2) + (rows + dim) * math.log(2.0 * math.pi)) + constant

    def mean(self) -> Float[Array, " dim"]:
        """The posterior's mean."""
        factor = self._factor()
        return cho_solve((factor, True), self.features.T @ self.targets / self.noise_scale**2)

    def covariance(self) -> Float[Array, "dim dim"]:
        """The posterior's covariance."""
        factor = self._factor()
        return cho_solve((factor, True), jnp.eye(factor.shape[0], dtype=factor.dtype))

    def log_z(self) -> Scalar:
        """The log evidence log p(y), exact, in nats."""
        factor = self._factor()
        volume = 0.5 * factor.shape[0] * math.log(2.0 * math.pi) - jnp.sum(jnp.log(jnp.diagonal(factor)))
        return volume - self(self.mean())

    def log_prob(self, x: Float[Array, " dim"]) -> Scalar:
        """log p(w | y) in nats."""
        return -self(x) - self.log_z()

    def sample(self, key: Key) -> Float[Array, " dim"]:
        """One exact sample of the posterior."""
        factor = self._factor()
        noise = jax.random.normal(key, factor.shape[:1], factor.dtype)
        return self.mean() + solve_triangular(factor.T, noise, lower=False)

    def _factor(self) -> Float[Array, "dim dim"]:
        """Lower Cholesky factor of the posterior's precision."""
        dim = self.features.shape[1]
        precision = self.features.T @ self.features / self.noise_scale**2
        return jnp.linalg.cholesky(precision + jnp.eye(dim, dtype=precision.dtype) / self.prior_scale**2)


def five_points_posterior() -> LinearRegression:
    """Intercept and slope of five points near a line, noise 0.5, prior scale 10: log evidence -9.334056702.

    Example:
        >>> [round(float(w), 3) for w in five_points_posterior().mean()]
        [1.099, 0.97]
    """
    x = jnp.arange(5.0)
    return LinearRegression(jnp.stack([jnp.ones(5), x], axis=1), jnp.array([1.2, 1.9, 3.2, 3.8, 5.1]), 0.5, 10.0)
