"""Minimum probability flow: the rate at which probability leaves the data under dynamics that keep the model.

Source: Sohl-Dickstein, Battaglino and DeWeese (2011), Minimum probability flow learning, arXiv:0906.4779, eq. (11),
    with one-site changes as the connectivity. What differs: changes that lead to another datum are not left out,
    as for data sparse in their space; any energy, by evaluations, or one gradient where it is linear in every site.
Estimates the parameters consistently: its optimum on the population is the truth. Cost: sites * (states - 1) + 1
energies a datum (one gradient where `linear`), differentiated once; no chain.
Fails on outliers: a datum of high energy weighs exponentially. Distant modes are not seen.
"""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Scalar

from .neighbours import AbstractNeighbourRule


class MinimumProbabilityFlow(AbstractNeighbourRule):
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

    told: ClassVar[str] = "largest_flow"

    def term(self, falls: Float[Array, "sites states"], others: Bool[Array, "sites states"]) -> tuple[Scalar, Scalar]:
        """The loss of one sample, and its largest term."""
        flows = jnp.where(others, jnp.exp(0.5 * falls), 0.0)
        return jnp.sum(flows), jnp.max(flows)
