"""A Brownian path seen through noise, the middle third not at all, both scales unknown.

Source: Sountsov, Radul and contributors (2020), Inference Gym, target "Brownian motion, unknown scales, missing middle
observations", whose model and observations these are.
What differs: the scales enter as logarithms, with the Jacobian in E, so that all coordinates are real and log Z is the
log evidence. The Inference Gym's own reference means of the scales (0.1199 and 0.1011, by a long run) are 7 and 18 of
its errors off the exact 0.1155 and 0.1127.
Exact: the evidence, the mean scales and the mean path, by a Kalman smoother under a quadrature over the two scales.
Cost: some hundreds of operations per value.
Where samplers fail on it: as either scale falls the path must stand still, or pass through every point: two funnels.
"""

import math
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractEnergy, Cond

from .quadrature_exact import gauss_legendre

_FIRST = (0.21592641, 0.118771404, -0.07945447, 0.037677474, -0.27885845)
_SECOND = (-0.1484156, -0.3250906, -0.22957903, -0.44110894, -0.09830782)
_THIRD = (-0.8786016, -0.83736074, -0.7384849, -0.8939254, -0.7774566)
_FOURTH = (-0.70238715, -0.87771565, -0.51853573, -0.6948214, -0.6202789)
STEPS = 30
SEEN = np.array([True] * 10 + [False] * 10 + [True] * 10)
OBSERVED = np.array(_FIRST + _SECOND + (0.0,) * 10 + _THIRD + _FOURTH)
"""What was seen at each step; 0 where nothing was."""
_PRIOR = 2.0  # standard deviation of both log scales
_CONSTANT = 0.5 * (STEPS + 20 + 2) * math.log(2.0 * math.pi) + 2.0 * math.log(_PRIOR)


class BrownianMotion(AbstractEnergy):
    """E(x) = -log p(y, x), x = (log s, log o, path_1 .. path_30).

    path_t ~ N(path_{t-1}, s^2) from 0; y_t ~ N(path_t, o^2) for steps 1 to 10 and 21 to 30; log s, log o ~ N(0, 2^2).

    Raises:
        ValueError: x is not 32 numbers.

    Example:
        >>> round(float(BrownianMotion()(jnp.zeros(32))), 4)
        52.3476
    """

    conditional: ClassVar[bool] = False

    def __call__(self, x: Float[Array, " dim"], cond: Cond = None) -> Scalar:
        """-log p(y, x) in nats."""
        if x.shape != (STEPS + 2,):
            raise ValueError(f"BrownianMotion: x must be ONE sample of shape ({STEPS + 2},); got shape {x.shape}.")
        scales, path = x[:2], x[2:]
        moves = jnp.diff(path, prepend=jnp.zeros(1, x.dtype)) * jnp.exp(-scales[0])
        errors = jnp.where(jnp.asarray(SEEN), path - jnp.asarray(OBSERVED, x.dtype), 0.0) * jnp.exp(-scales[1])
        shrunk = scales / _PRIOR
        quadratic = jnp.sum(moves * moves) + jnp.sum(errors * errors) + jnp.sum(shrunk * shrunk)
        return 0.5 * quadratic + STEPS * scales[0] + 20.0 * scales[1] + _CONSTANT


class BrownianExact(NamedTuple):
    """Exact posterior means."""

    log_z: float
    """The log evidence, in nats."""
    innovation: float
    """Mean of s."""
    observation: float
    """Mean of o."""
    path: np.ndarray
    """Mean path [30]."""


def brownian_exact(panels: int = 8) -> BrownianExact:
    """The evidence, mean scales and mean path: a Kalman smoother at every node of a quadrature over the log scales.

    Args:
        panels: Panels of 25 nodes on each log scale in (-14, 6).

    Example:
        >>> exact = brownian_exact()
        >>> round(exact.log_z, 6), round(exact.innovation, 5), round(exact.observation, 5)
        (1.187749, 0.11553, 0.11266)
    """
    log_scale, weights = gauss_legendre(-14.0, 6.0, panels)
    log_s, log_o = (grid.reshape(-1) for grid in np.meshgrid(log_scale, log_scale, indexing="ij"))
    log_likelihood, paths = _smooth(np.exp(2.0 * log_s), np.exp(2.0 * log_o))
    prior = -0.5 * (log_s**2 + log_o**2) / _PRIOR**2 - math.log(2.0 * math.pi * _PRIOR**2)
    logs = log_likelihood + prior + np.log(np.outer(weights, weights).reshape(-1))
    log_z = float(np.logaddexp.reduce(logs))
    p = np.exp(logs - log_z)
    return BrownianExact(log_z, float(p @ np.exp(log_s)), float(p @ np.exp(log_o)), p @ paths)


def _smooth(step: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log p(y) and the mean path [rows, 30], given variances of the steps and of the noise [rows]."""
    mean, variance, total = np.zeros_like(step), np.zeros_like(step), np.zeros_like(step)
    means, variances = [], []
    for seen, y in zip(SEEN, OBSERVED, strict=True):
        variance = variance + step
        if seen:
            spread = variance + noise
            total = total - 0.5 * (np.log(2.0 * np.pi * spread) + (y - mean) ** 2 / spread)
            mean = mean + variance / spread * (y - mean)
            variance = variance * noise / spread
        means.append(mean)
        variances.append(variance)
    smoothed = [means[-1]]
    for mean, variance in zip(means[-2::-1], variances[-2::-1], strict=True):
        smoothed.append(mean + variance / (variance + step) * (smoothed[-1] - mean))
    return total, np.stack(smoothed[::-1], axis=1)
