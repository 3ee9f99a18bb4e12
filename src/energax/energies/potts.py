"""The Potts model on any graph: q states a site as one-hot rows, equal neighbours gain, a field on every state.

Source: Potts (1952), Some generalized order-disorder transformations, doi:10.1017/S0305004100027419; Wu (1982), The
Potts model, doi:10.1103/RevModPhys.54.235, eq. (1.3).
Differs: inverse temperature is inside the strengths and the fields, so all are in nats (K = J / kT); a sample is a
floating array [sites, states] with one 1 a row, in which the energy is linear row by row. With two states and strength
K it is the Ising model of K / 2, up to K / 2 an edge.
Exact: ring, torus and critical points in `potts_exact.py`, any few sites by `enumerate_exact(energy, sites, states)`.
Cost: (edges + sites) x states operations per value and per set of local fields.
Where samplers fail on it: single sites slow down at the critical coupling, and for more than four states the square
lattice has a first-order transition, across which they take a time exponential in the side.
"""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Scalar

from energax.core import AbstractLatticeEnergy, AbstractPairEnergy, Cond, PairTerms, checks

from .bands import Bands, bands, pair_energy
from .ising import check_pairs, lattice_edges


class Potts(AbstractLatticeEnergy, AbstractPairEnergy):
    """E(x) = -sum over edges (a, b) of J_ab [a and b in one state] - sum_i H_i,state(i), x one-hot [sites, states].

    An edge that is listed twice counts twice. At x between the states E is the multilinear extension: x_a . x_b stands
    for the bracket.

    Args:
        pairs: The two sites of every edge, integers [edges, 2] in 0..sites-1, no site with itself.
        strengths: J in nats, [edges], or one number for all; > 0 favours equal states.
        fields: H in nats, floating, [sites, states], >= 2 states.

    Raises:
        ValueError: Shapes do not fit, an entry is not finite, a pair names no two sites, or x does not fit.

    Example:
        >>> energy = Potts(lattice_edges((3,)), 0.5, jnp.zeros((3, 4)))
        >>> x = jax.nn.one_hot(jnp.array([2, 2, 1]), 4)
        >>> float(energy(x))
        -0.5
        >>> energy.local_field(x)[2].tolist()
        [0.0, 0.0, 1.0, 0.0]
    """

    conditional: ClassVar[bool] = False
    pairs: Int[Array, "edges 2"]
    strengths: Float[Array, " edges"]
    fields: Float[Array, "sites states"]
    bands: Bands | None

    def __init__(self, pairs: Array | np.ndarray, strengths: Array | np.ndarray | float, fields: Array | np.ndarray):
        fields = jnp.asarray(fields)
        shaped = fields.ndim == 2 and fields.shape[0] >= 1 and fields.shape[1] >= 2
        if not shaped or not jnp.issubdtype(fields.dtype, jnp.floating):
            raise ValueError(
                "Potts.fields must be floating, of shape (sites, states) with >= 2 states; "
                f"got {fields.dtype} of shape {fields.shape}."
            )
        checks.finite("Potts", "fields", fields)
        check_pairs("Potts", pairs, fields.shape[0])
        strengths = jnp.asarray(strengths, fields.dtype)
        if strengths.shape not in ((), (pairs.shape[0],)):
            raise ValueError(
                f"Potts.strengths must be a number or of shape ({pairs.shape[0]},); got shape {strengths.shape}."
            )
        if strengths.size:
            checks.finite("Potts", "strengths", strengths)
        self.pairs, self.bands = jnp.asarray(pairs, jnp.int32), bands(pairs, fields.shape[0])
        self.strengths = jnp.broadcast_to(strengths, (pairs.shape[0],))
        self.fields = fields

    @classmethod
    def lattice(cls, shape: tuple[int, ...], states: int, coupling: float, *, periodic: bool = True) -> "Potts":
        """The uniform model without field on a chain, a square or a cubic lattice.

        Args:
            shape: Sites along each of 1 to 3 axes; site numbers run over the last axis fastest.
            states: q, >= 2.
            coupling: K in nats.
            periodic: Whether the ends are joined.
        """
        checks.count("Potts.lattice", "states", states, least=2)
        pairs = lattice_edges(shape, periodic)
        return cls(pairs, coupling, jnp.zeros((math.prod(shape), states), jnp.result_type(float)))

    def __call__(self, x: Float[Array, "sites states"], cond: Cond = None) -> Scalar:
        """E(x) in nats."""
        self._one_sample(x)
        if self.bands is not None:
            return pair_energy(self.bands, self.strengths, self.fields, x)
        agree = jnp.sum(x[self.pairs[:, 0]] * x[self.pairs[:, 1]], axis=-1)
        return -jnp.sum(self.strengths * agree) - jnp.sum(self.fields * x)

    def local_field(self, x: Float[Array, "sites states"]) -> Float[Array, "sites states"]:
        """h_i,s = H_i,s + sum over the neighbours j of J_ij x_j,s, in nats, for every site and state at once."""
        self._one_sample(x)
        if self.bands is not None:
            return self.fields + self.bands.neighbour_sum(self.strengths, x)
        left, right = self.pairs[:, 0], self.pairs[:, 1]
        sites, strengths = self.fields.shape[0], self.strengths[:, None]
        into_left = jax.ops.segment_sum(strengths * x[right], left, sites)
        into_right = jax.ops.segment_sum(strengths * x[left], right, sites)
        return self.fields + into_left + into_right

    def conditional_logits(self, x: Float[Array, "sites states"], site: Int[Array, ""]) -> Float[Array, " states"]:
        """Logits of the states of one site given the rest; the site's own row does not count.

        Costs as much as all local fields: a sweep over sites should ask `local_field` for many of them at once.
        """
        return self.local_field(x)[site]

    def pair_terms(self, cond: Cond = None) -> PairTerms:
        """As they are."""
        return PairTerms(self.pairs, self.strengths, self.fields)

    def _one_sample(self, x: Array) -> None:
        if x.shape != self.fields.shape:
            raise ValueError(f"Potts: x must be ONE one-hot sample of shape {self.fields.shape}; got shape {x.shape}.")
