"""The kernel density of the training points: what needs no training must be beaten."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractEnergy, Cond
from energax.evaluation import fit_kernel

from ..method import Rule
from ..problem import Problem

TITLE = "kernel density, bandwidth by cross-validation (no training)"
BANDWIDTHS = (0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2, 0.3)


class KernelEnergy(AbstractEnergy):
    """-log of the sum over centres of exp(-|x - centre|^2 / (2 bandwidth^2))."""

    centres: Float[Array, "centres dim"]
    bandwidth: float

    def __call__(self, x: Float[Array, " dim"], cond: Cond = None) -> Scalar:
        squares = jnp.sum(self.centres**2, axis=1) - 2.0 * self.centres @ x + jnp.sum(x**2)
        return -jax.nn.logsumexp(-0.5 * squares / self.bandwidth**2)


def fits(problem: Problem) -> bool:
    """Real numbers in the plane, where the grid tells its exact answers."""
    return not problem.is_discrete and problem.dim == 2


def make(problem: Problem) -> Rule:
    """Fitted to the same points."""

    def fitted(seed: int) -> AbstractEnergy:
        found = fit_kernel(problem.train, seed=seed, bandwidths=BANDWIDTHS, num_folds=2)
        return KernelEnergy(jnp.asarray(found.centres, jnp.float32), found.bandwidth)

    return Rule(None, fitted=fitted)
