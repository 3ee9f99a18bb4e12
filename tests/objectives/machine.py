"""A population of spins: all states of a small machine with a three-body term, and the exact law of the data."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from energax.core import AbstractEnergy

SITES = 4
STATES = np.array(list(itertools.product([-1.0, 1.0], repeat=SITES)))
_rng = np.random.default_rng(4)
_TRUTH = np.concatenate([_rng.normal(size=SITES), 0.5 * _rng.normal(size=SITES * (SITES - 1) // 2)])
_PAIRS = np.array(list(itertools.combinations(range(SITES), 2)))


class Couplings(AbstractEnergy):
    """-fields . x - sum of strengths of pairs - bend * (sum x)^2 x_0 x_1 / 8 (not linear in a site where bend != 0)."""

    theta: Array
    bend: float = 0.0

    def __call__(self, x, cond=None):
        pairs = jnp.sum(self.theta[SITES:] * x[_PAIRS[:, 0]] * x[_PAIRS[:, 1]])
        return -jnp.sum(self.theta[:SITES] * x) - pairs - self.bend * jnp.sum(x) ** 2 * x[0] * x[1] / 8.0


def machine(scale: float = 1.0, bend: float = 0.0) -> Couplings:
    """The machine with the truth's parameters times `scale`."""
    return Couplings(jnp.asarray(scale * _TRUTH, jnp.float64), bend)


def law(bend: float = 0.0) -> np.ndarray:
    """The exact probabilities of `STATES` under the truth."""
    theta = _TRUTH
    pairs = (theta[SITES:] * STATES[:, _PAIRS[:, 0]] * STATES[:, _PAIRS[:, 1]]).sum(1)
    total = STATES.sum(1)
    energy = -STATES @ theta[:SITES] - pairs - bend * total**2 * STATES[:, 0] * STATES[:, 1] / 8.0
    raw = np.exp(-energy)
    return raw / raw.sum()


LAW = law()


def population(rule, probabilities: np.ndarray):
    """The loss of an objective under exact probabilities of `STATES`, as a function of the model."""

    def loss(model):
        def one(x):
            return rule(jax.random.key(0), model, None, {"x": x[None]})[0]

        return jnp.sum(jnp.asarray(probabilities) * jax.vmap(one)(jnp.asarray(STATES)))

    return loss
