"""Neal's funnel: a Gaussian whose scale is itself random, so that no single step size suits it.

Source: Neal (2003), Slice sampling, doi:10.1214/aos/1056562461, section 8.
Exact: log Z, samples, density. Cost: d operations per value.
Where samplers fail on it: curvature grows as exp(-v); a step that suits the mouth (v > 0) is rejected in the neck
(v < -5), and chains with any fixed step underestimate the spread of v.
"""

import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractDensity, AbstractEnergy, Cond, Key, checks


class Funnel(AbstractEnergy, AbstractDensity):
    """x_0 = v ~ N(0, scale^2) and x_i | v ~ N(0, exp(v)) for i >= 1; E leaves out every constant.

    E(x) = v^2 / (2 scale^2) + (dim - 1) v / 2 + exp(-v) sum_i x_i^2 / 2.

    Args:
        dim: Coordinates with v, >= 2; Neal's funnel has 10.
        scale: Standard deviation of v, > 0; Neal's is 3.

    Raises:
        ValueError: `dim` < 2, `scale` is not > 0, or x does not fit.

    Example:
        >>> round(float(Funnel(10).log_prob(jnp.zeros(10))), 4)
        -10.288
    """

    conditional: ClassVar[bool] = False
    dim: int = eqx.field(static=True, default=10)
    scale: float | Scalar = 3.0

    def __check_init__(self):
        checks.count("Funnel", "dim", self.dim, least=2)
        checks.positive("Funnel", "scale", self.scale, ndim=0)

    def __call__(self, x: Float[Array, " dim"], cond: Cond = None) -> Scalar:
        """E(x) in nats."""
        if x.shape != (self.dim,):
            raise ValueError(f"Funnel: x must be ONE sample of shape ({self.dim},); got shape {x.shape}.")
        v, rest = x[0], x[1:]
        neck = v / self.scale
        return 0.5 * (neck * neck + (self.dim - 1) * v + jnp.exp(-v) * jnp.sum(rest * rest))

    def log_z(self) -> Scalar:
        """log of the integral of exp(-E), exact, in nats."""
        return 0.5 * self.dim * math.log(2.0 * math.pi) + jnp.log(self.scale)

    def log_prob(self, x: Float[Array, " dim"]) -> Scalar:
        """log p(x) in nats."""
        return -self(x) - self.log_z()

    def sample(self, key: Key) -> Float[Array, " dim"]:
        """One exact sample."""
        noise = jax.random.normal(key, (self.dim,))
        v = self.scale * noise[0]
        return jnp.concatenate([v[None], jnp.exp(0.5 * v) * noise[1:]])
