"""Pseudolikelihood: every site is predicted from all others.

Source: Besag (1975), Statistical analysis of non-lattice data, doi:10.2307/2987782, eq. (4). What differs: any number
    of states; any energy, by evaluations, or one gradient where it is linear in every site.
Estimates the parameters consistently: its optimum on the population is the truth. Cost: sites * (states - 1) + 1
energies a datum (one gradient where `linear`), differentiated once; no chain.
Fails slowly: at low temperature a site is told by its neighbours whatever the distant order, so that its variance is
far above that of maximum likelihood, and relative masses of distant modes are not seen.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Scalar

from .neighbours import AbstractNeighbourRule


class Pseudolikelihood(AbstractNeighbourRule):
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

    told: ClassVar[str] = "site_accuracy"

    def term(self, falls: Float[Array, "sites states"], others: Bool[Array, "sites states"]) -> tuple[Scalar, Scalar]:
        """The loss of one sample: the falls of its own states are 0."""
        likeliest = jnp.all(jnp.where(others, falls <= 0, True), axis=1)
        return jnp.sum(jax.nn.logsumexp(falls, axis=1)), jnp.mean(likeliest.astype(falls.dtype))
