"""Double well and many wells: modes of known mass behind barriers of known height.

Source: Noe et al. (2019), Boltzmann generators, doi:10.1126/science.aaw1147, supplement, eq. (S1), for the tilted
quartic; Midgley et al. (2023), Flow annealed importance sampling bootstrap, arXiv:2208.01893, appendix, for its product
over pairs. Differs: the double well is put as depth (x^2 - 1)^2, minima near +-1, barrier of `depth` nats at 0.
Exact: log Z and samples by one-dimensional quadrature, since coordinates are independent. Cost: d operations per value.
Where samplers fail on them: a local chain crosses a barrier of h nats about once in exp(h) relaxation times, so
products of k wells keep the mode masses (2^k of them) that their chains were started with.
"""

import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractDensity, AbstractEnergy, Cond, Key, checks

from .quadrature import line_log_z, line_sample

# exp(-60) of the peak is below what float64 can add to it
_NEGLIGIBLE = 60.0


class DoubleWell(AbstractEnergy, AbstractDensity):
    """E(x) = sum_i depth (x_i^2 - 1)^2 + tilt x_i: independent double wells in every coordinate.

    Args:
        depth: Height of the barrier between the wells, in nats, > 0.
        dim: Coordinates, >= 1.
        tilt: Slope, in nats per unit of x; a positive one favours the left wells.

    Raises:
        ValueError: `depth` is not > 0, `tilt` is not finite, `dim` is not a positive integer, or x does not fit.

    Example:
        >>> round(float(DoubleWell(4.0).log_z()), 5)
        -0.05357
    """

    conditional: ClassVar[bool] = False
    depth: float | Scalar = 2.0
    dim: int = eqx.field(static=True, default=1)
    tilt: float | Scalar = 0.0

    def __check_init__(self):
        checks.positive("DoubleWell", "depth", self.depth, ndim=0)
        checks.count("DoubleWell", "dim", self.dim)
        checks.finite("DoubleWell", "tilt", self.tilt, ndim=0)

    def __call__(self, x: Float[Array, " dim"], cond: Cond = None) -> Scalar:
        """E(x) in nats."""
        _one_sample("DoubleWell", x, self.dim)
        return jnp.sum(self._line(x))

    def log_z(self) -> Scalar:
        """log of the integral of exp(-E) by quadrature, in nats; error about 1e-6 in float32."""
        return self.dim * line_log_z(self._line, self._half_width())

    def log_prob(self, x: Float[Array, " dim"]) -> Scalar:
        """log p(x) in nats."""
        return -self(x) - self.log_z()

    def sample(self, key: Key) -> Float[Array, " dim"]:
        """One independent sample, by inverting the cumulative distribution on a fine grid."""
        return line_sample(key, self._line, self._half_width(), (self.dim,))

    def _line(self, x: Array) -> Array:
        gap = x * x - 1.0
        return self.depth * gap * gap + self.tilt * x

    def _half_width(self) -> Scalar:
        # depth (w^2 - 1)^2 outgrows the cut plus what the tilt can take away at |x| = w (w < 3 + the tilt's own scale)
        cut = _NEGLIGIBLE + 4.0 * jnp.abs(self.tilt) * (1.0 + jnp.abs(self.tilt / self.depth))
        return jnp.sqrt(1.0 + jnp.sqrt(cut / self.depth))


class ManyWell(AbstractEnergy, AbstractDensity):
    """E(x) = sum over pairs of (-x_1/2 - 6 x_1^2 + x_1^4) + x_2^2/2: 2^(dim/2) modes, uneven in mass.

    Args:
        dim: Even, >= 2; coordinates 0, 2, 4, ... are the wells, 1, 3, 5, ... standard normal.

    Raises:
        ValueError: `dim` is not even and >= 2, or x does not fit.

    Example:
        >>> round(float(ManyWell(32).log_z()), 3)
        164.696
    """

    conditional: ClassVar[bool] = False
    dim: int = eqx.field(static=True, default=2)

    def __check_init__(self):
        checks.count("ManyWell", "dim", self.dim, least=2)
        if self.dim % 2:
            raise ValueError(f"ManyWell.dim must be even; got {self.dim}.")

    def __call__(self, x: Float[Array, " dim"], cond: Cond = None) -> Scalar:
        """E(x) in nats."""
        _one_sample("ManyWell", x, self.dim)
        pairs = x.reshape(-1, 2)
        return jnp.sum(_quartic(pairs[:, 0])) + 0.5 * jnp.sum(pairs[:, 1] * pairs[:, 1])

    def log_z(self) -> Scalar:
        """log of the integral of exp(-E) by quadrature, in nats."""
        return 0.5 * self.dim * (line_log_z(_quartic, 5.0) + 0.5 * math.log(2.0 * math.pi))

    def log_prob(self, x: Float[Array, " dim"]) -> Scalar:
        """log p(x) in nats."""
        return -self(x) - self.log_z()

    def sample(self, key: Key) -> Float[Array, " dim"]:
        """One independent sample, by inverting the cumulative distribution on a fine grid."""
        wells, rest = jax.random.split(key)
        pairs = self.dim // 2
        first = line_sample(wells, _quartic, 5.0, (pairs,))
        return jnp.stack([first, jax.random.normal(rest, (pairs,), first.dtype)], axis=1).reshape(-1)


def _quartic(x: Array) -> Array:
    square = x * x
    return square * square - 6.0 * square - 0.5 * x


def _one_sample(owner: str, x: Array, dim: int) -> None:
    if x.shape != (dim,):
        raise ValueError(f"{owner}: x must be ONE sample of shape ({dim},); got shape {x.shape}.")
