"""Gaussian energy, diagonal or full, with everything exact.

Source: Bishop (2006), Pattern recognition and machine learning, eq. (2.43).
Exact: log Z, samples, density. Cost: d operations per value with a diagonal scale, d^2 with a full factor.
"""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractDensity, AbstractEnergy, Cond, Key, checks

from .factors import factor_times, inverse_factor


class Gaussian(AbstractEnergy, AbstractDensity):
    """E(x) = 0.5 |L^-1 (x - mean)|^2, L diagonal or lower triangular: x = mean + L n with n standard normal.

    Args:
        mean: One sample's shape, in the units of x; any rank for a diagonal scale, [d] for a full one.
        scale: A number or an array of the mean's shape, > 0 (the standard deviations), or a lower-triangular factor
            [d, d] with positive diagonal (`jnp.linalg.cholesky` of a covariance).

    Raises:
        ValueError: Shapes do not fit, an entry is not finite, or a standard deviation is not > 0.

    Example:
        >>> g = Gaussian(jnp.zeros(2), 2.0)
        >>> float(g(jnp.array([2.0, 0.0])))
        0.5
        >>> round(float(g.log_z()), 3)  # log(2 pi 4)
        3.224
    """

    conditional: ClassVar[bool] = False
    mean: Float[Array, "..."]
    inverse_scale: Float[Array, "..."]

    def __init__(self, mean: Array, scale: Array | float):
        mean = jnp.asarray(mean)
        if not jnp.issubdtype(mean.dtype, jnp.floating):
            raise ValueError(f"Gaussian.mean must hold floating numbers; got dtype {mean.dtype}.")
        checks.finite("Gaussian", "mean", mean)
        scale = jnp.asarray(scale, mean.dtype)
        if mean.ndim == 1 and scale.shape == (mean.shape[0],) * 2:
            self.inverse_scale = inverse_factor("Gaussian", "scale", scale)
        elif scale.shape in ((), mean.shape):
            checks.positive("Gaussian", "scale", scale)
            self.inverse_scale = jnp.broadcast_to(1.0 / scale, mean.shape)
        else:
            raise ValueError(
                f"Gaussian.scale must be a number, an array of the mean's shape {mean.shape}, or a square factor; "
                f"got shape {scale.shape}."
            )
        self.mean = mean

    @property
    def is_full(self) -> bool:
        """Whether the scale is a triangular factor, not a diagonal."""
        return self.inverse_scale.ndim > self.mean.ndim

    def __call__(self, x: Float[Array, "..."], cond: Cond = None) -> Scalar:
        """E(x) in nats: 0 at the mean."""
        if x.shape != self.mean.shape:
            raise ValueError(f"Gaussian: x must be ONE sample of shape {self.mean.shape}; got shape {x.shape}.")
        shift = x - self.mean
        white = shift @ self.inverse_scale.T if self.is_full else shift * self.inverse_scale
        return 0.5 * jnp.sum(white * white)

    def log_z(self) -> Scalar:
        """log of the integral of exp(-E), exact, in nats."""
        inverse = jnp.diagonal(self.inverse_scale) if self.is_full else self.inverse_scale
        return 0.5 * self.mean.size * math.log(2.0 * math.pi) - jnp.sum(jnp.log(inverse))

    def log_prob(self, x: Float[Array, "..."]) -> Scalar:
        """log p(x) in nats."""
        return -self(x) - self.log_z()

    def sample(self, key: Key) -> Float[Array, "..."]:
        """One exact sample."""
        noise = jax.random.normal(key, self.mean.shape, self.mean.dtype)
        spread = factor_times(self.inverse_scale, noise) if self.is_full else noise / self.inverse_scale
        return self.mean + spread


def standard_normal(shape: int | tuple[int, ...]) -> Gaussian:
    """N(0, I) over samples of `shape` (a number means a flat vector).

    Example:
        >>> standard_normal(3).mean.shape
        (3,)
    """
    shape = (shape,) if isinstance(shape, int) else shape
    for size in shape:
        checks.count("standard_normal", "shape", size)
    return Gaussian(jnp.zeros(shape), 1.0)
