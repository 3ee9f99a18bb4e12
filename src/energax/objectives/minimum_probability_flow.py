"""Minimum probability flow: the rate at which probability leaves the data under dynamics that keep the model.

Source: Sohl-Dickstein, Battaglino and DeWeese (2011), Minimum probability flow learning, arXiv:0906.4779, eq. (11),
    with one-site changes as the connectivity. What differs: changes that lead to another datum are not left out,
    as for data sparse in their space; any energy, by evaluations, or one gradient where it is linear in every site.
Estimates the parameters consistently: its optimum on the population is the truth. Cost: sites * (states - 1) + 1
energies a datum (one gradient where `linear`), differentiated once; no chain.
Fails on outliers: a datum of high energy weighs exponentially. Distant modes are not seen.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Scalar

from energax.core import AbstractEnergy, AbstractObjective, Batch, Key, Metrics
from energax.numerics.microbatch import mean_in_chunks
from energax.samplers import AbstractSites

from .negatives import check_energy
from .neighbours import falls


class MinimumProbabilityFlow(AbstractObjective):
    """E sum over one-site changes y of x of exp((E(x) - E(y)) / 2).

    Carries no state. Metrics: `largest_flow`, the mean over data of the largest term.

    Args:
        sites: The values of the sites: SPINS, BITS or CATEGORIES.
        linear: Whether the energy is linear in every site (Ising, Potts, Boltzmann): one gradient then does for all
            sites. Wrong for any other energy, an RBM's free energy among them.
        chunk_size: Rows whose gradient is taken at a time, >= 1; None takes all.

    Example:
        >>> import jax
        >>> from energax.core import FunctionEnergy
        >>> from energax.samplers import SPINS
        >>> free = FunctionEnergy(lambda x: 0.0 * jnp.sum(x))
        >>> loss, _ = MinimumProbabilityFlow(SPINS)(jax.random.key(0), free, None, {"x": jnp.ones((8, 3))})
        >>> float(loss)
        3.0
    """

    sites: AbstractSites
    linear: bool = False
    chunk_size: int | None = None

    def init(self, key: Key, model: Any, batch: Batch) -> None:
        """Nothing is carried; refuses a model that is no energy of one row of `batch["x"]`."""
        check_energy("MinimumProbabilityFlow", model, batch["x"])

    def __call__(
        self, key: Key, model: AbstractEnergy, state: None, batch: Batch
    ) -> tuple[Scalar, tuple[None, Metrics]]:
        loss, largest = mean_in_chunks(self._one, model, batch["x"], self.chunk_size)
        return loss, (None, {"largest_flow": largest})

    def _one(self, energy: AbstractEnergy, x: Any) -> tuple[Scalar, Scalar]:
        """The loss of one sample, and its largest term."""
        logits, others = falls(energy, self.sites, x, self.linear)
        flows = jnp.where(others, jnp.exp(0.5 * logits), 0.0)
        return jnp.sum(flows), jnp.max(flows)
