"""Ratio matching: score matching for discrete data.

Source: Hyvarinen (2007), Some extensions of score matching, doi:10.1016/j.csda.2006.09.003, eq. (17); for more than two
    states Lyu (2009), Interpretation and generalization of score matching, arXiv:1205.2629, sec. 4. What differs: the
    sum runs over all changes of one site; any energy, by evaluations, or one gradient where it is linear in every site.
Estimates the parameters consistently: its optimum on the population is the truth, and no log Z is needed. Cost:
sites * (states - 1) + 1 energies a datum (one gradient where `linear`), differentiated once; no chain.
Fails as `Pseudolikelihood` does on distant modes; its squares saturate, so that data far from the model teach little.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Scalar

from .neighbours import AbstractNeighbourRule


class RatioMatching(AbstractNeighbourRule):
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

    told: ClassVar[str] = "flip_probability"

    def term(self, falls: Float[Array, "sites states"], others: Bool[Array, "sites states"]) -> tuple[Scalar, Scalar]:
        """The loss of one sample, and its mean chance of a change."""
        chances = jnp.where(others, jax.nn.sigmoid(falls), 0.0)
        return jnp.sum(chances**2), jnp.sum(chances) / jnp.sum(others.astype(chances.dtype))
