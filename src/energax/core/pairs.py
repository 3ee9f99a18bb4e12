"""Pair energies taken apart: what cluster samplers ask for, read through temperatures, sums and conditions."""

import abc
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .energy import AbstractEnergy, Conditioned, Sum, Tempered
from .types import Cond


class PairTerms(NamedTuple):
    """E(x) = constant - sum over edges (a, b) of agreement_ab [a, b in one state] - sum_i fields_i,state(i), in nats.

    An edge that is listed twice counts twice.
    """

    pairs: Int[Array, "edges 2"]
    """The two sites of every edge."""
    agreement: Float[Array, " edges"]
    """What is gained where both are in one state: 2 J for spins of -J x_a x_b, J for Potts."""
    fields: Float[Array, "sites states"]
    """What a site gains by each of its states; of spins, state 0 is -1 and state 1 is +1."""


class AbstractPairEnergy(AbstractEnergy):
    """A sum over edges and sites of spins in {-1, +1} [sites], or of one-hot rows [sites, states]."""

    @abc.abstractmethod
    def pair_terms(self, cond: Cond = None) -> PairTerms:
        """The energy taken apart."""


def pair_terms(energy: AbstractEnergy, cond: Cond = None) -> PairTerms:
    """The terms of a pair energy, or of what `beta * a`, `a + b` and `a.given(c)` make of pair energies.

    Args:
        energy: The energy.
        cond: What it is conditioned on, or None.

    Raises:
        ValueError: A part of the energy is no `AbstractPairEnergy`.

    Example:
        >>> from energax.energies import Ising
        >>> energy = Ising(jnp.array([[0, 1]]), 0.5, jnp.array([0.0, 0.25]))
        >>> pair_terms(2.0 * energy).agreement.tolist(), pair_terms(2.0 * energy).fields.tolist()
        ([2.0], [[-0.0, 0.0], [-0.5, 0.5]])
    """
    if isinstance(energy, AbstractPairEnergy):
        return energy.pair_terms(cond)
    if isinstance(energy, Conditioned):
        return pair_terms(energy.base, energy.cond)
    if isinstance(energy, Tempered):
        pairs, agreement, fields = pair_terms(energy.base, cond)
        beta = jnp.asarray(energy.beta, agreement.dtype)
        return PairTerms(pairs, beta * agreement, beta * fields)
    if isinstance(energy, Sum):
        terms = [pair_terms(term, cond) for term in energy.terms]
        fields = terms[0].fields
        for term in terms[1:]:
            fields = fields + term.fields
        return PairTerms(
            jnp.concatenate([term.pairs for term in terms]), jnp.concatenate([term.agreement for term in terms]), fields
        )
    raise ValueError(
        f"pair_terms: energy must be a sum over pairs of sites (an AbstractPairEnergy); got {type(energy).__name__}."
    )
