"""Ratio matching: score matching for discrete data.

Source: Hyvarinen (2007), Some extensions of score matching, doi:10.1016/j.csda.2006.09.003, eq. (17); for more than two
    states Lyu (2009), Interpretation and generalization of score matching, arXiv:1205.2629, sec. 4. What differs: the
    sum runs over all changes of one site; any energy, by evaluations, or one gradient where it is linear in every site.
Estimates the parameters consistently: its optimum on the population is the truth, and no log Z is needed. Cost:
sites * (states - 1) + 1 energies a datum (one gradient where `linear`), differentiated once; no chain.
Fails as `Pseudolikelihood` does on distant modes; its squares saturate, so that data far from the model teach little.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Scalar

from energax.core import AbstractEnergy, AbstractObjective, Batch, Key, Metrics
from energax.numerics.microbatch import mean_in_chunks
from energax.samplers import AbstractSites

from .negatives import check_energy
from .neighbours import falls


class RatioMatching(AbstractObjective):
    """E sum over one-site changes y of x of s(E(x) - E(y))^2, s the logistic function.

    Carries no state. Metrics: `flip_probability`, the mean of s(E(x) - E(y)) over changes.

    Args:
        sites: The values of the sites: SPINS, BITS or CATEGORIES.
        linear: Whether the energy is linear in every site (Ising, Potts, Boltzmann): one gradient then does for all
            sites. Wrong for any other energy, an RBM's free energy among them.
        chunk_size: Rows whose gradient is taken at a time, >= 1; None takes all.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> from energax.samplers import SPINS
        >>> free = FunctionEnergy(lambda x: 0.0 * jnp.sum(x))
        >>> loss, _ = RatioMatching(SPINS)(jax.random.key(0), free, None, {"x": jnp.ones((8, 3))})
        >>> float(loss)
        0.75
    """

    sites: AbstractSites
    linear: bool = False
    chunk_size: int | None = None

    def init(self, key: Key, model: Any, batch: Batch) -> None:
        """Nothing is carried; refuses a model that is no energy of one row of `batch["x"]`."""
        check_energy("RatioMatching", model, batch["x"])

    def __call__(
        self, key: Key, model: AbstractEnergy, state: None, batch: Batch
    ) -> tuple[Scalar, tuple[None, Metrics]]:
        loss, flips = mean_in_chunks(self._one, model, batch["x"], self.chunk_size)
        return loss, (None, {"flip_probability": flips})

    def _one(self, energy: AbstractEnergy, x: Any) -> tuple[Scalar, Scalar]:
        """The loss of one sample, and its mean chance of a change."""
        logits, others = falls(energy, self.sites, x, self.linear)
        chances = jnp.where(others, jax.nn.sigmoid(logits), 0.0)
        return jnp.sum(chances**2), jnp.sum(chances) / jnp.sum(others.astype(chances.dtype))
