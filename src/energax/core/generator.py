"""What can be sampled, and what has a density besides."""

import abc

import equinox as eqx
from jaxtyping import Scalar

from .energy import AbstractEnergy
from .types import Cond, Key, X


class AbstractGenerator(eqx.Module):
    """A thing that draws independent samples."""

    @abc.abstractmethod
    def sample(self, key: Key) -> X:
        """One exact, independent sample; `jax.vmap(g.sample)(jax.random.split(key, n))` for n of them."""


class AbstractDensity(AbstractGenerator):
    """A generator whose normalised density is known."""

    @abc.abstractmethod
    def log_prob(self, x: X) -> Scalar:
        """log p(x) in nats, normalised."""

    def energy(self) -> "DensityEnergy":
        """The density as an energy whose log Z is 0."""
        return DensityEnergy(self)


class DensityEnergy(AbstractEnergy):
    """E(x) = -log p(x): a normalised density as an energy, so log Z = 0."""

    density: AbstractDensity

    def __call__(self, x: X, cond: Cond = None) -> Scalar:
        return -self.density.log_prob(x)
