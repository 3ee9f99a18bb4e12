"""Small discrete targets whose every state is listed: what a discrete kernel is certified on.

Source: exact enumeration, as Newman and Barkema (1999), Monte Carlo methods in statistical physics, section 1.2, pose
    the canonical average.
What differs: all are skewed by fields and away from inverse temperature 1; two are linear in no site, for kernels that
take any energy. Cost: 2^5 or 3^4 states. Fails as a proof of speed: five sites mix at once.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Scalar

from energax.core import AbstractEnergy, Cond
from energax.energies import BernoulliRBM, BoltzmannMachine, Ising, Potts
from energax.samplers import BITS, CATEGORIES, SPINS, AbstractSites

from .transitions import every_sample, probabilities

PAIRS = np.array([[0, 1], [1, 2], [2, 3], [3, 0], [0, 2], [3, 4]])
"""A square with a diagonal and a tail: three colours, and frustrated by strengths of both signs."""
_ROUGH = np.array([0.9, -0.6, 0.4, 0.8, -0.5, 1.1], np.float32)
_FIELDS = np.array(
    [[0.3, -0.5, 0.2], [-0.6, 0.1, 0.4], [0.2, 0.7, -0.3], [-0.1, -0.4, 0.5], [0.5, 0.2, -0.2]], np.float32
)


class Enumerable(NamedTuple):
    """One target.

    Attributes:
        name: What it is.
        energy: E(x) in nats.
        sites: What values a site takes.
        like: One sample, for its structure.
        pairs: Which sites interact, [edges, 2]; None where all do.
    """

    name: str
    energy: AbstractEnergy
    sites: AbstractSites
    like: Array
    pairs: np.ndarray | None

    def xs(self) -> Any:
        """Every sample, stacked."""
        return every_sample(self.sites, self.like)

    def law(self) -> np.ndarray:
        """The probability of each."""
        return probabilities(self.energy, self.xs())


class Curved(AbstractEnergy):
    """No pair energy: not linear in any site."""

    fields: Array

    def __call__(self, x: Array, cond: Cond = None) -> Scalar:
        return (
            jnp.sum(self.fields * x) + jnp.sin(2.0 * jnp.sum(x)) + 0.8 * jnp.sqrt(1.0 + jnp.sum(x * jnp.cumsum(x)) ** 2)
        )


def enumerable_targets(sites: AbstractSites) -> tuple[Enumerable, ...]:
    """The targets of one kind of site: a pair energy first, then, for two values, one that is none.

    Example:
        >>> [target.name for target in enumerable_targets(SPINS)]
        ['spin glass, beta 0.7', 'curved spins, beta 0.6']
    """
    known = {
        SPINS: lambda: (spin_glass(), Enumerable("curved spins, beta 0.6", 0.6 * _curved(), SPINS, jnp.ones(5), None)),
        BITS: lambda: (bits(), Enumerable("curved bits, beta 0.6", 0.6 * _curved(), BITS, jnp.ones(5), None)),
        CATEGORIES: lambda: (potts(),),
    }
    if sites not in known:
        raise ValueError(f"certify.sites must be SPINS, BITS or CATEGORIES; got {sites!r}.")
    return known[sites]()


def spin_glass() -> Enumerable:
    """Five spins with strengths of both signs and fields."""
    energy = 0.7 * Ising(PAIRS, jnp.asarray(_ROUGH), jnp.asarray(_FIELDS[:, 0]))
    return Enumerable("spin glass, beta 0.7", energy, SPINS, jnp.ones(5), PAIRS)


def bits() -> Enumerable:
    """Five bits with weights of both signs and biases."""
    weights = np.zeros((5, 5), np.float32)
    weights[PAIRS[:, 0], PAIRS[:, 1]] = weights[PAIRS[:, 1], PAIRS[:, 0]] = -_ROUGH
    energy = 1.3 * BoltzmannMachine(jnp.asarray(weights), jnp.asarray(_FIELDS[:, 1]))
    return Enumerable("Boltzmann machine, beta 1.3", energy, BITS, jnp.ones(5), PAIRS)


def potts() -> Enumerable:
    """Four sites of three states, strengths > 0, with fields."""
    pairs = PAIRS[:5]
    energy = 0.8 * Potts(pairs, jnp.asarray(np.abs(_ROUGH[:5])), jnp.asarray(_FIELDS[:4]))
    like = jax.nn.one_hot(jnp.zeros(4, jnp.int32), 3)
    return Enumerable("Potts, 3 states, beta 0.8", energy, CATEGORIES, like, pairs)


def machine() -> Enumerable:
    """The visible units of a restricted Boltzmann machine of 4 x 3, at the joint inverse temperature 1.2."""
    weights = np.stack([1.5 * np.sin(1.0 + 3 * np.arange(3) + 5 * i) for i in range(4)]).astype(np.float32)
    model = BernoulliRBM(jnp.asarray(weights), jnp.asarray(_FIELDS[:4, 0]), jnp.asarray(_FIELDS[0]))
    return Enumerable("RBM 4 x 3, beta 1.2", model.at_beta(1.2), BITS, jnp.ones(4), None)


def _curved() -> Curved:
    return Curved(jnp.asarray(_FIELDS[:, 0] - _FIELDS[:, 1]))
