"""Rosenbrock's valley as a density: a Gaussian along a parabola, narrow across it.

Source: Goodman and Weare (2010), Ensemble samplers with affine invariance, doi:10.2140/camcos.2010.5.65, where it is a
test density.
Exact: log Z, samples, density, since x_0 is Gaussian and so is x_1 given it. Cost: a few operations per value.
Where samplers fail on it: the valley is tens of times longer than wide, and it turns, so that no linear map mends it.
"""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractDensity, AbstractEnergy, Cond, Key, checks


class Rosenbrock(AbstractEnergy, AbstractDensity):
    """E(x) = (steepness (x_1 - x_0^2)^2 + (1 - x_0)^2) / temperature.

    x_0 ~ N(1, temperature / 2) and x_1 given it ~ N(x_0^2, temperature / (2 steepness)).

    Args:
        steepness: How narrow the valley is, > 0.
        temperature: What the classical function is divided by, > 0.

    Raises:
        ValueError: A number is not > 0, or x is not one point of the plane.

    Example:
        >>> round(float(Rosenbrock().log_z()), 6)  # log 2 pi
        1.837877
    """

    conditional: ClassVar[bool] = False
    steepness: float | Scalar = 100.0
    temperature: float | Scalar = 20.0

    def __check_init__(self):
        checks.positive("Rosenbrock", "steepness", self.steepness, ndim=0)
        checks.positive("Rosenbrock", "temperature", self.temperature, ndim=0)

    def __call__(self, x: Float[Array, " dim"], cond: Cond = None) -> Scalar:
        """E(x) in nats."""
        if x.shape != (2,):
            raise ValueError(f"Rosenbrock: x must be ONE sample of shape (2,); got shape {x.shape}.")
        across, along = x[1] - x[0] * x[0], 1.0 - x[0]
        return (self.steepness * across * across + along * along) / self.temperature

    def log_z(self) -> Scalar:
        """log of the integral of exp(-E), exact, in nats."""
        return math.log(math.pi) + jnp.log(self.temperature) - 0.5 * jnp.log(self.steepness)

    def log_prob(self, x: Float[Array, " dim"]) -> Scalar:
        """log p(x) in nats."""
        return -self(x) - self.log_z()

    def sample(self, key: Key) -> Float[Array, " dim"]:
        """One exact sample."""
        noise = jax.random.normal(key, (2,))
        first = 1.0 + jnp.sqrt(0.5 * self.temperature) * noise[0]
        return jnp.stack([first, first * first + jnp.sqrt(0.5 * self.temperature / self.steepness) * noise[1]])
