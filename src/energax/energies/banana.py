"""The banana: a Gaussian bent along a parabola by a map of unit Jacobian.

Source: Haario, Saksman and Tamminen (1999), Adaptive proposal distribution, doi:10.1007/s001800050022, section 4.
Exact: log Z, samples, density. Cost: d operations per value.
Where samplers fail on it: the ridge turns, so a step as long as the banana leaves it; small steps diffuse along it.
"""

import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractDensity, AbstractEnergy, Cond, Key, checks


class Banana(AbstractEnergy, AbstractDensity):
    """E(x) = x_0^2 / (2 scale^2) + (x_1 - bend (x_0^2 - scale^2))^2 / 2 + sum_{i>=2} x_i^2 / 2.

    Means are 0; the variances are scale^2, 1 + 2 bend^2 scale^4, and 1 for the rest.

    Args:
        dim: Coordinates, >= 2.
        scale: Half length of the banana: the standard deviation of x_0, > 0.
        bend: How much it bends, per unit of x; 0 is a Gaussian. Haario's values: scale 10, bend 0.03 and 0.1.

    Raises:
        ValueError: `dim` < 2, `scale` is not > 0, `bend` is not finite, or x does not fit.

    Example:
        >>> round(float(Banana().log_z()), 5)  # log(2 pi 10)
        4.14046
    """

    conditional: ClassVar[bool] = False
    dim: int = eqx.field(static=True, default=2)
    scale: float | Scalar = 10.0
    bend: float | Scalar = 0.03

    def __check_init__(self):
        checks.count("Banana", "dim", self.dim, least=2)
        checks.positive("Banana", "scale", self.scale, ndim=0)
        checks.finite("Banana", "bend", self.bend, ndim=0)

    def __call__(self, x: Float[Array, " dim"], cond: Cond = None) -> Scalar:
        """E(x) in nats."""
        if x.shape != (self.dim,):
            raise ValueError(f"Banana: x must be ONE sample of shape ({self.dim},); got shape {x.shape}.")
        along, across, rest = x[0] / self.scale, x[1] - self._ridge(x[0]), x[2:]
        return 0.5 * (along * along + across * across + jnp.sum(rest * rest))

    def log_z(self) -> Scalar:
        """log of the integral of exp(-E), exact, in nats."""
        return 0.5 * self.dim * math.log(2.0 * math.pi) + jnp.log(self.scale)

    def log_prob(self, x: Float[Array, " dim"]) -> Scalar:
        """log p(x) in nats."""
        return -self(x) - self.log_z()

    def sample(self, key: Key) -> Float[Array, " dim"]:
        """One exact sample."""
        noise = jax.random.normal(key, (self.dim,))
        along = self.scale * noise[0]
        return noise.at[0].set(along).at[1].add(self._ridge(along))

    def _ridge(self, along: Scalar) -> Scalar:
        return self.bend * (along * along - self.scale * self.scale)
