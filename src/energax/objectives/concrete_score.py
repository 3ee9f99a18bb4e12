"""Concrete score matching: the relative changes of probability to the one-site neighbours.

Source: Meng, Choi, Song and Ermon (2022), Concrete score matching: generalized score matching for discrete data,
    arXiv:2211.00802, eqs. (2) and (5), with all one-site changes as the (symmetric) neighbourhood. What differs: the
    score is that of an energy; any energy, by evaluations, or one gradient where it is linear in every site.
Estimates E_data sum over y of (p(y) / p(x) - p_data(y) / p_data(x))^2 up to a constant of the data: consistent. Cost:
sites * (states - 1) + 1 energies a datum (one gradient where `linear`), differentiated once; no chain.
Fails on a sample that leaves states out: the ratio of a datum to a state never seen may grow without bound, and the
loss falls for ever (stop early, or smooth the data). Ratios enter squared, so that a rare datum beside a likely state
rules the loss; distant modes are not seen.
"""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Scalar

from .neighbours import AbstractNeighbourRule


class ConcreteScoreMatching(AbstractNeighbourRule):
    """E sum over one-site changes y of x of [r(x, y)^2 - 2 / r(x, y)], r(x, y) = exp(E(x) - E(y)).

    From sum over x, y of p(x) (r - p(y) / p(x))^2: the cross term sum of p(y) r(x, y) is, with x and y called by each
    other's names, E over data of r(y, x) = 1 / r(x, y).

    Carries no state. Metrics: `largest_ratio`, the mean over data of the largest r.

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
        >>> loss, _ = ConcreteScoreMatching(SPINS)(jax.random.key(0), free, None, {"x": jnp.ones((8, 3))})
        >>> float(loss)
        -3.0
    """

    told: ClassVar[str] = "largest_ratio"

    def term(self, falls: Float[Array, "sites states"], others: Bool[Array, "sites states"]) -> tuple[Scalar, Scalar]:
        """The loss of one sample, and its largest ratio."""
        terms = jnp.where(others, jnp.exp(2.0 * falls) - 2.0 * jnp.exp(-falls), 0.0)
        return jnp.sum(terms), jnp.max(jnp.where(others, jnp.exp(falls), 0.0))
