"""Pseudolikelihood: every site is predicted from all others.

Source: Besag (1975), Statistical analysis of non-lattice data, doi:10.2307/2987782, eq. (4). What differs: any number
    of states; any energy, by evaluations, or one gradient where it is linear in every site.
Estimates the parameters consistently: its optimum on the population is the truth. Cost: sites * (states - 1) + 1
energies a datum (one gradient where `linear`), differentiated once; no chain.
Fails slowly: at low temperature a site is told by its neighbours whatever the distant order, so that its variance is
far above that of maximum likelihood, and relative masses of distant modes are not seen.
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


class Pseudolikelihood(AbstractObjective):
    """-E sum over sites i of log p(x_i | the others), in nats.

    Carries no state. Metrics: `site_accuracy`, the fraction of sites whose state is the likeliest given the others.

    Args:
        sites: The values of the sites: SPINS, BITS or CATEGORIES.
        linear: Whether the energy is linear in every site (Ising, Potts, Boltzmann): one gradient then does for all
            sites. Wrong for any other energy, an RBM's free energy among them.
        chunk_size: Rows whose gradient is taken at a time, >= 1; None takes all.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> from energax.samplers import SPINS
        >>> free = FunctionEnergy(lambda x: 0.0 * jnp.sum(x))
        >>> loss, _ = Pseudolikelihood(SPINS)(jax.random.key(0), free, None, {"x": jnp.ones((8, 3))})
        >>> round(float(loss), 4)  # 3 log 2
        2.0794
    """

    sites: AbstractSites
    linear: bool = False
    chunk_size: int | None = None

    def init(self, key: Key, model: Any, batch: Batch) -> None:
        """Nothing is carried; refuses a model that is no energy of one row of `batch["x"]`."""
        check_energy("Pseudolikelihood", model, batch["x"])

    def __call__(
        self, key: Key, model: AbstractEnergy, state: None, batch: Batch
    ) -> tuple[Scalar, tuple[None, Metrics]]:
        loss, right = mean_in_chunks(self._one, model, batch["x"], self.chunk_size)
        return loss, (None, {"site_accuracy": right})

    def _one(self, energy: AbstractEnergy, x: Any) -> tuple[Scalar, Scalar]:
        """The loss of one sample: the logits of its own states are 0."""
        logits, others = falls(energy, self.sites, x, self.linear)
        likeliest = jnp.all(jnp.where(others, logits <= 0, True), axis=1)
        return jnp.sum(jax.nn.logsumexp(logits, axis=1)), jnp.mean(likeliest.astype(logits.dtype))
