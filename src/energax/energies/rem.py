"""The random energy model: every state of N spins has its own independent Gaussian level.

Source: Derrida (1981), Random-energy model: an exactly solvable model of disordered systems,
doi:10.1103/PhysRevB.24.2613.
Differs: the levels are a table of 2^N numbers in nats, drawn from a key or given, and then fixed; between the spins
the energy is the multilinear extension, so that gradients are exact costs of flips.
Exact: log Z, density and samples at every size by the table; the limit of many sites in closed form.
Cost: 2^N operations per value or gradient (a table row for every half of the spins), one product of matrices for a
batch. Where samplers fail on it: there is nothing to follow, since neighbouring states know nothing of each other;
below the freezing temperature a chain waits for a time of order 2^N before it finds a deep level.
"""

import math
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractDensity, AbstractEnergy, Cond, Key, checks
from energax.numerics import standard_normal as normal

from .enumeration import few_units


class RandomEnergyLimit(NamedTuple):
    """The limit of many sites; it is the same for almost every draw of the levels."""

    log_z: float
    """log Z per spin, in nats."""
    energy: float
    """Mean energy per spin, in nats."""
    entropy: float
    """Entropy per spin, in nats: 0 in the frozen phase."""


class RandomEnergy(AbstractEnergy, AbstractDensity):
    """E(x) = levels[number of x], x in {-1, +1}^N; spin 0 is the lowest bit of the number, +1 counting as 1.

    Args:
        levels: One energy in nats for each of the 2^N states, floating, 1 <= N <= 20.

    Raises:
        ValueError: The levels are not 2^N finite floating numbers, or x does not fit.

    Example:
        >>> energy = RandomEnergy(jnp.array([0.5, -1.0, 2.0, 0.0]))
        >>> float(energy(jnp.array([1.0, -1.0]))), float(energy(jnp.array([-1.0, 1.0])))
        (-1.0, 2.0)
    """

    conditional: ClassVar[bool] = False
    levels: Float[Array, " levels"]

    def __init__(self, levels: Array):
        levels = jnp.asarray(levels)
        if levels.ndim != 1 or levels.shape[0] < 2 or levels.shape[0] & (levels.shape[0] - 1):
            raise ValueError(f"RandomEnergy.levels must be of shape (2^N,); got shape {levels.shape}.")
        if not jnp.issubdtype(levels.dtype, jnp.floating):
            raise ValueError(f"RandomEnergy.levels must hold floating numbers; got dtype {levels.dtype}.")
        few_units("RandomEnergy.levels", levels.shape[0].bit_length() - 1)
        checks.finite("RandomEnergy", "levels", levels)
        self.levels = levels

    @classmethod
    def draw(cls, key: Key, sites: int, beta: float | Scalar = 1.0) -> "RandomEnergy":
        """Levels beta N(0, sites / 2), independent.

        Args:
            key: One typed key; it is used up. The same key gives the same levels at every beta.
            sites: N, 1 to 20.
            beta: Inverse temperature, >= 0; freezing is at 2 sqrt(log 2) = 1.6651.
        """
        few_units("RandomEnergy.draw", sites)
        checks.non_negative("RandomEnergy.draw", "beta", beta, ndim=0)
        return cls(beta * math.sqrt(0.5 * sites) * normal(key, (1 << sites,), jnp.result_type(float)))

    @property
    def sites(self) -> int:
        """N."""
        return self.levels.shape[0].bit_length() - 1

    def __call__(self, x: Float[Array, " sites"], cond: Cond = None) -> Scalar:
        """E(x) in nats."""
        if x.shape != (self.sites,):
            raise ValueError(f"RandomEnergy: x must be ONE sample of shape ({self.sites},); got shape {x.shape}.")
        half = self.sites // 2
        low, high = _corners(x[:half]), _corners(x[half:])
        return high @ (self.levels.reshape(high.shape[0], low.shape[0]) @ low)

    def log_z(self) -> Scalar:
        """log Z, exact, in nats."""
        return jax.nn.logsumexp(-self.levels)

    def log_prob(self, x: Float[Array, " sites"]) -> Scalar:
        """log of the probability of a state, in nats."""
        return -self(x) - self.log_z()

    def sample(self, key: Key) -> Float[Array, " sites"]:
        """One exact sample."""
        code = jax.random.categorical(key, -self.levels)
        return jnp.where((code >> jnp.arange(self.sites)) & 1, 1.0, -1.0).astype(self.levels.dtype)


def rem_limit(beta: float) -> RandomEnergyLimit:
    """The limit of many sites: log 2 + beta^2 / 4 per spin up to beta = 2 sqrt(log 2), beta sqrt(log 2) beyond.

    At N <= 20 the frozen side is some percent below it.

    Args:
        beta: Inverse temperature, >= 0.

    Raises:
        ValueError: `beta` is negative or not finite.

    Example:
        >>> round(rem_limit(1.0).log_z, 6), round(rem_limit(2.0).log_z, 6), rem_limit(2.0).entropy
        (0.943147, 1.665109, 0.0)
    """
    checks.non_negative("rem_limit", "beta", beta, ndim=0)
    deepest = math.sqrt(math.log(2.0))
    if beta <= 2.0 * deepest:
        quarter = 0.25 * beta * beta
        return RandomEnergyLimit(math.log(2.0) + quarter, -2.0 * quarter, math.log(2.0) - quarter)
    return RandomEnergyLimit(beta * deepest, -beta * deepest, 0.0)


def _corners(x: Float[Array, " sites"]) -> Float[Array, " corners"]:
    """The product of (1 - x_i) / 2 or (1 + x_i) / 2 for every state: 1 at the state that x is, linear in every x_i."""
    weights = jnp.ones((1,), x.dtype)
    for i in range(x.shape[0]):  # a later spin is a higher bit
        pair = jnp.stack([0.5 * (1.0 - x[i]), 0.5 * (1.0 + x[i])])
        weights = (pair[:, None] * weights[None, :]).reshape(-1)
    return weights
