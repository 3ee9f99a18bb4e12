"""The Ising model on any graph: spins in {-1, +1}, symmetric couplings on a list of edges, a field on every site.

Source: Ising (1925), Beitrag zur Theorie des Ferromagnetismus, doi:10.1007/BF02980577; Newman and Barkema (1999), Monte
Carlo methods in statistical physics, chapter 3. Differs: inverse temperature is inside the strengths and the fields,
so all are in nats (K = J / kT, H = h / kT). Exact: log Z by enumeration to 20 spins; rings, tori and the square lattice
in `ising_exact.py`. Cost: edges + sites operations per value and per set of local fields (`bands.py`).
Where samplers fail on it: single flips slow down at the critical coupling, cross between the two signs about never
below the critical temperature, and get stuck where couplings of both signs are frustrated.
"""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Scalar

from energax.core import AbstractLatticeEnergy, AbstractPairEnergy, Cond, PairTerms, checks

from .bands import Bands, bands, pair_energy
from .enumeration import concrete, enumerated_log_sum, few_units, state_blocks


class Ising(AbstractLatticeEnergy, AbstractPairEnergy):
    """E(x) = -sum over edges (a, b) of J_ab x_a x_b - sum_i H_i x_i, x in {-1, +1}^sites.

    An edge that is listed twice counts twice. At x between the spins E is the multilinear extension, so that its
    gradient is minus the local field.

    Args:
        pairs: The two sites of every edge, integers [edges, 2] in 0..sites-1, no site with itself.
        strengths: J in nats, [edges], or one number for all; > 0 favours equal spins.
        fields: H in nats, floating, [sites].

    Raises:
        ValueError: Shapes do not fit, an entry is not finite, a pair names no two sites, or x does not fit.

    Example:
        >>> energy = Ising(lattice_edges((3,)), 0.5, jnp.array([0.1, 0.0, 0.0]))
        >>> x = jnp.array([1.0, 1.0, -1.0])
        >>> round(float(energy(x)), 4)
        0.4
        >>> energy.local_field(x).round(4).tolist()[2]
        1.0
    """

    conditional: ClassVar[bool] = False
    pairs: Int[Array, "edges 2"]
    strengths: Float[Array, " edges"]
    fields: Float[Array, " sites"]
    bands: Bands | None

    def __init__(self, pairs: Array | np.ndarray, strengths: Array | np.ndarray | float, fields: Array | np.ndarray):
        fields = jnp.asarray(fields)
        if fields.ndim != 1 or fields.size == 0 or not jnp.issubdtype(fields.dtype, jnp.floating):
            raise ValueError(
                f"Ising.fields must be floating, of shape (sites,); got {fields.dtype} of shape {fields.shape}."
            )
        checks.finite("Ising", "fields", fields)
        check_pairs("Ising", pairs, fields.shape[0])
        strengths = jnp.asarray(strengths, fields.dtype)
        if strengths.shape not in ((), (pairs.shape[0],)):
            raise ValueError(
                f"Ising.strengths must be a number or of shape ({pairs.shape[0]},); got shape {strengths.shape}."
            )
        if strengths.size:
            checks.finite("Ising", "strengths", strengths)
        self.pairs, self.bands = jnp.asarray(pairs, jnp.int32), bands(pairs, fields.shape[0])
        self.strengths = jnp.broadcast_to(strengths, (pairs.shape[0],))
        self.fields = fields

    @classmethod
    def lattice(cls, shape: tuple[int, ...], coupling: float, field: float = 0.0, *, periodic: bool = True) -> "Ising":
        """The uniform model on a chain, a square or a cubic lattice.

        Args:
            shape: Sites along each of 1 to 3 axes; site numbers run over the last axis fastest.
            coupling: K in nats.
            field: H in nats.
            periodic: Whether the ends are joined.
        """
        pairs = lattice_edges(shape, periodic)
        return cls(pairs, coupling, jnp.full((math.prod(shape),), field, jnp.result_type(float)))

    def __call__(self, x: Float[Array, " sites"], cond: Cond = None) -> Scalar:
        """E(x) in nats."""
        self._one_sample(x)
        if self.bands is not None:
            return pair_energy(self.bands, self.strengths, self.fields, x)
        return -jnp.sum(self.strengths * x[self.pairs[:, 0]] * x[self.pairs[:, 1]]) - jnp.sum(self.fields * x)

    def local_field(self, x: Float[Array, " sites"]) -> Float[Array, " sites"]:
        """h_i = H_i + sum over the neighbours j of J_ij x_j, in nats, for every site at once."""
        self._one_sample(x)
        if self.bands is not None:
            return self.fields + self.bands.neighbour_sum(self.strengths, x)
        left, right = self.pairs[:, 0], self.pairs[:, 1]
        sites = self.fields.shape[0]
        into_left = jax.ops.segment_sum(self.strengths * x[right], left, sites)
        into_right = jax.ops.segment_sum(self.strengths * x[left], right, sites)
        return self.fields + into_left + into_right

    def conditional_logits(self, x: Float[Array, " sites"], site: Int[Array, ""]) -> Float[Array, " states"]:
        """Logits of x_site = -1 and of x_site = +1 given the rest; x_site itself does not count.

        Costs as much as all local fields: a sweep over sites should ask `local_field` for many of them at once.
        """
        field = self.local_field(x)[site]
        return jnp.stack([-field, field])

    def pair_terms(self, cond: Cond = None) -> PairTerms:
        """-J x_a x_b = J - 2 J [x_a = x_b]."""
        return PairTerms(self.pairs, 2.0 * self.strengths, jnp.stack([-self.fields, self.fields], axis=1))

    def _one_sample(self, x: Array) -> None:
        if x.shape != self.fields.shape:
            raise ValueError(f"Ising: x must be ONE sample of shape {self.fields.shape}; got shape {x.shape}.")


def lattice_edges(shape: tuple[int, ...], periodic: bool = True) -> np.ndarray:
    """The nearest-neighbour pairs of a chain, a square or a cubic lattice, int32 [edges, 2].

    A periodic axis of two sites joins them twice (once around each way), as the exact formulas do.

    Args:
        shape: Sites along each of 1 to 3 axes, each >= 2; site numbers run over the last axis fastest.
        periodic: Whether the ends are joined.

    Raises:
        ValueError: `shape` is not 1 to 3 integers >= 2.

    Example:
        >>> lattice_edges((3,)).tolist()
        [[0, 1], [1, 2], [2, 0]]
        >>> len(lattice_edges((4, 4))), len(lattice_edges((4, 4), periodic=False)), len(lattice_edges((3, 3, 3)))
        (32, 24, 81)
    """
    if not 1 <= len(shape) <= 3:
        raise ValueError(f"lattice_edges.shape must have 1 to 3 axes; got {tuple(shape)}.")
    for size in shape:
        checks.count("lattice_edges", "shape", size, least=2)
    sites = np.arange(math.prod(shape), dtype=np.int32).reshape(shape)
    edges = []
    for axis, size in enumerate(shape):
        first = np.arange(size if periodic else size - 1)
        here, there = np.take(sites, first, axis), np.take(sites, (first + 1) % size, axis)
        edges.append(np.stack([here.reshape(-1), there.reshape(-1)], axis=1))
    return np.concatenate(edges)


def enumerate_log_z(energy: Ising) -> float:
    """log Z in nats, exact in double precision, by the sum over all 2^sites states.

    Args:
        energy: At most 20 sites; 20 take a second or two.

    Raises:
        ValueError: `energy` is no Ising model or has too many sites, or called under jit.

    Example:
        >>> round(enumerate_log_z(Ising(np.zeros((0, 2), int), 0.0, jnp.zeros(3))), 6)  # 3 log 2
        2.079442
    """
    if not isinstance(energy, Ising):
        raise ValueError(f"enumerate_log_z.energy must be an Ising model; got {type(energy).__name__}.")
    few_units("enumerate_log_z", energy.fields.shape[0])
    pairs, strengths, fields = concrete("enumerate_log_z", energy.pairs, energy.strengths, energy.fields)
    couplings = np.zeros((len(fields), len(fields)))
    np.add.at(couplings, (pairs[:, 0], pairs[:, 1]), strengths)

    def energies(spins: np.ndarray) -> np.ndarray:
        return -np.sum((spins @ couplings) * spins, axis=1) - spins @ fields

    return enumerated_log_sum(state_blocks(len(fields)), energies)


def check_pairs(owner: str, pairs: Array | np.ndarray, sites: int) -> None:
    """Raises ValueError unless `pairs` are integers [edges, 2] that each join two different ones of the sites."""
    if not hasattr(pairs, "dtype") or pairs.ndim != 2 or pairs.shape[1] != 2:
        got = f"shape {pairs.shape}" if hasattr(pairs, "dtype") else type(pairs).__name__
        raise ValueError(f"{owner}.pairs must be an integer array of shape (edges, 2); got {got}.")
    if not np.issubdtype(pairs.dtype, np.integer):
        raise ValueError(f"{owner}.pairs must hold integers; got dtype {pairs.dtype}.")
    if isinstance(pairs, jax.core.Tracer) or pairs.shape[0] == 0:
        return
    plain = np.asarray(pairs)
    if plain.min() < 0 or plain.max() >= sites:
        raise ValueError(f"{owner}.pairs must name sites 0 to {sites - 1}; got {plain.min()} to {plain.max()}.")
    if np.any(plain[:, 0] == plain[:, 1]):
        own = int(plain[plain[:, 0] == plain[:, 1]][0, 0])
        raise ValueError(f"{owner}.pairs must join two different sites; got site {own} with itself.")
