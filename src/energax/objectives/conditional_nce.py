"""Conditional noise-contrastive estimation: tell each datum from a perturbed copy of itself.

Source: Ceylan and Gutmann (2018), Conditional noise-contrastive estimation of unnormalised models, arXiv:1806.03664,
    eqs. (8) and (13), with Gaussian noise, whose density is symmetric and cancels. What differs: nothing else.
Estimates the maximum likelihood solution consistently without a noise density to choose, and without log Z, which
cancels; for small sigma it is score matching (sec. 3.2: 2 log 2 + sigma^2 / 2 times its loss). Cost: 1 + ratio energies
a datum; no chain.
Fails as score matching does on mode masses while sigma is smaller than the modes' distance; a sigma as large as that
tells little about their shape.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Scalar

from energax.core import AbstractEnergy, AbstractObjective, Batch, Key, Metrics, X, checks
from energax.numerics.tree import add_scaled, normal_like

from .negatives import check_energy


class ConditionalNoiseContrastive(AbstractObjective):
    """2 E log(1 + exp(E(x) - E(y))) over data x and copies y = x + sigma e, e ~ N(0, 1).

    Carries no state. Metrics: `accuracy`, the fraction of copies of a higher energy than their datum.

    Args:
        sigma: Standard deviation of the noise, in the units of x, > 0.
        ratio: Copies a datum, >= 1.

    Raises:
        ValueError: A field is outside its range.

    Example:
        >>> from energax.energies import standard_normal
        >>> rule, batch = ConditionalNoiseContrastive(0.1), {"x": jnp.zeros((8, 2))}
        >>> loss, (_, metrics) = rule(jax.random.key(0), standard_normal(2), None, batch)
        >>> float(metrics["accuracy"])
        1.0
    """

    sigma: float
    ratio: int = 1

    def __check_init__(self):
        checks.positive("ConditionalNoiseContrastive", "sigma", self.sigma)
        checks.count("ConditionalNoiseContrastive", "ratio", self.ratio)

    def init(self, key: Key, model: Any, batch: Batch) -> None:
        """Nothing is carried; refuses a model that is no energy of one row of `batch["x"]`."""
        check_energy("ConditionalNoiseContrastive", model, batch["x"])

    def __call__(
        self, key: Key, model: AbstractEnergy, state: None, batch: Batch
    ) -> tuple[Scalar, tuple[None, Metrics]]:
        here = jax.vmap(model)(batch["x"])

        def copy(key: Key) -> X:
            return jax.vmap(model)(add_scaled(batch["x"], self.sigma, normal_like(key, batch["x"])))

        rise = jax.vmap(copy)(jax.random.split(key, self.ratio)) - here[None, :]
        higher = jnp.mean((rise > 0).astype(rise.dtype))
        return 2.0 * jnp.mean(jax.nn.softplus(-rise)), (None, {"accuracy": higher})
