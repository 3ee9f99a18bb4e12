"""Denoising score matching at one noise level.

Source: Vincent (2011), A connection between score matching and denoising autoencoders, doi:10.1162/NECO_a_00142,
    eq. (11). What differs: multiplied by sigma^2 (the weight of Song and Ermon, 2019, arXiv:1907.05600, sec. 4.2),
    so that the loss keeps its scale as sigma shrinks; the optimum is unchanged.
Estimates the energy of the data *smoothed* by N(0, sigma^2): for Gaussian data of variance s^2 the learned
precision is 1 / (s^2 + sigma^2), exactly. Cost: one gradient of the energy a sample, differentiated once more in
the parameters; no chain.
Fails on separated modes: each mode's shape is learned, their masses are not. The gradient's variance grows as 1 /
sigma^2 for small sigma; the blur grows with sigma.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Scalar

from energax.core import AbstractEnergy, AbstractObjective, Batch, Key, Metrics, X, checks
from energax.numerics.microbatch import mean_in_chunks
from energax.numerics.tree import add_scaled, normal_like, squared_norm

from .negatives import check_energy


class DenoisingScoreMatching(AbstractObjective):
    """1/2 E |sigma grad E(x + sigma e) - e|^2 with e ~ N(0, 1): summed over coordinates, averaged over the batch.

    Carries no state. Metrics: `score_norm`, the mean of |grad E| at the noisy points, in 1 / units of x.

    Args:
        sigma: Standard deviation of the noise, in the units of x, > 0.
        chunk_size: Rows whose gradient is taken at a time, >= 1; 8 is good for image networks on a CPU. None takes all.

    Raises:
        ValueError: `sigma` is not a positive number.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> rule = DenoisingScoreMatching(0.5)
        >>> energy = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))
        >>> loss, (state, metrics) = rule(jax.random.key(0), energy, None, {"x": jnp.zeros((64, 2))})
        >>> loss.shape, sorted(metrics)
        ((), ['score_norm'])
    """

    sigma: float
    chunk_size: int | None = None

    def __check_init__(self):
        checks.positive("DenoisingScoreMatching", "sigma", self.sigma)
        if self.chunk_size is not None:
            checks.count("DenoisingScoreMatching", "chunk_size", self.chunk_size)

    def init(self, key: Key, model: Any, batch: Batch) -> None:
        """Nothing is carried; refuses a model that is no energy of one row of `batch["x"]`."""
        check_energy("DenoisingScoreMatching", model, batch["x"])

    def __call__(
        self, key: Key, model: AbstractEnergy, state: None, batch: Batch
    ) -> tuple[Scalar, tuple[None, Metrics]]:
        noise = normal_like(key, batch["x"])
        rows = (batch["x"], noise)
        loss, norm = mean_in_chunks(lambda m, row: miss(m, row[0], row[1], self.sigma), model, rows, self.chunk_size)
        return loss, (None, {"score_norm": norm})


def miss(energy: AbstractEnergy, x: X, noise: X, sigma: float | Scalar) -> tuple[Scalar, Scalar]:
    """1/2 |sigma grad E(x + sigma noise) - noise|^2 for one sample, and |grad E| there."""
    gradient = jax.grad(energy)(add_scaled(x, sigma, noise))
    scaled = jax.tree.map(lambda g: jnp.asarray(sigma, g.dtype) * g, gradient)
    return 0.5 * squared_norm(add_scaled(scaled, -1.0, noise)), jnp.sqrt(squared_norm(gradient))
