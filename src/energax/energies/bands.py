"""Couplings of a graph, sorted by the distance of the site numbers: sums over neighbours as shifts of whole arrays.

Source: Saad (2003), Iterative methods for sparse linear systems, 2nd edition, doi:10.1137/1.9780898718003, section 3.4
(storage by diagonals).
What differs: shifts go round (site n is site 0), so that all diagonals have one length. What is stored are places in
the list of edges, so that strengths stay one array that can be trained; where edges are listed in the order of their
sites, as `lattice_edges` does for a periodic lattice, a diagonal is a slice of it. A lattice has a few distances only
(64 x 64 periodic: 1, 64 and, at the seam, 4033): a gradient is one fused pass, where gathers and scatters by index cost
many times as much on a CPU. Cost: sites operations a distance. Where it fails: a graph without order has about as many
distances as edges; `bands` then says None.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Scalar

MOST_OFFSETS = 64
MOST_WASTE = 8
"""Entries of all shifts for every edge, above which indices are the better way."""


class Bands(eqx.Module):
    """The edges of a graph by the distance of their sites.

    Args:
        offsets: (b - a) mod sites of each band; a band holds one edge a site at most.
        starts: Where the edge of every site a that has one is start + a: the start; else None.
        edges: For each band and site a: whether there is an edge from a to a + offset; or, without a start, which, and
            the number of edges where there is none.
    """

    offsets: tuple[int, ...] = eqx.field(static=True)
    starts: tuple[int | None, ...] = eqx.field(static=True)
    edges: tuple[Bool[Array, " sites"] | Int[Array, " sites"], ...]

    def pair_sum(self, strengths: Float[Array, " edges"], x: Float[Array, "sites *row"]) -> Scalar:
        """sum over edges (a, b) of J_ab x_a . x_b."""
        sites, twice, total = len(x), jnp.concatenate([x, x]), jnp.zeros((), x.dtype)
        for offset, weights in self._weights(strengths, x):
            total = total + jnp.sum(weights * x * twice[offset : offset + sites])
        return total

    def neighbour_sum(
        self, strengths: Float[Array, " edges"], x: Float[Array, "sites *row"]
    ) -> Float[Array, "sites *row"]:
        """sum over the neighbours j of i of J_ij x_j, for every site i at once."""
        # slices of x put twice in a row: XLA makes one loop of them, and of rolls a test at every site
        sites, twice, total = len(x), jnp.concatenate([x, x]), jnp.zeros_like(x)
        for offset, weights in self._weights(strengths, x):
            back = sites - offset
            total = total + weights * twice[offset : offset + sites]
            total = total + (jnp.concatenate([weights, weights]) * twice)[back : back + sites]
        return total

    def _weights(self, strengths: Array, x: Array) -> list[tuple[int, Array]]:
        found = []
        for offset, start, edges in zip(self.offsets, self.starts, self.edges, strict=True):
            if start is None:
                padded = jnp.concatenate([strengths, jnp.zeros((1,), strengths.dtype)])
                weights = padded.at[edges].get(mode="promise_in_bounds")
            else:
                weights = jnp.where(edges, strengths[start : start + len(edges)], jnp.zeros((), strengths.dtype))
            found.append((offset, weights.reshape((-1,) + (1,) * (x.ndim - 1))))
        return found


@jax.custom_jvp
def pair_energy(
    bands: Bands, strengths: Float[Array, " edges"], fields: Float[Array, "sites *row"], x: Float[Array, "sites *row"]
) -> Scalar:
    """-sum over edges of J_ab x_a . x_b - sum_i H_i . x_i, whose gradient in x is one sum over neighbours."""
    return -bands.pair_sum(strengths, x) - jnp.sum(fields * x)


@pair_energy.defjvp
def _pair_energy_jvp(primals, tangents):
    bands, strengths, fields, x = primals
    _, strengths_dot, fields_dot, x_dot = tangents
    local = fields + bands.neighbour_sum(strengths, x)
    # local . x meets every edge from both of its ends, and every field once
    value = -0.5 * jnp.sum((local + fields) * x)
    return value, -jnp.sum(local * x_dot) - jnp.sum(fields_dot * x) - bands.pair_sum(strengths_dot, x)


def bands(pairs: Array | np.ndarray, sites: int) -> Bands | None:
    """The bands of a graph, or None where shifts would not pay (or the pairs are traced).

    Args:
        pairs: The two sites of every edge, integers [edges, 2], no site with itself.
        sites: How many.

    Example:
        >>> found = bands(np.array([[0, 1], [1, 2], [2, 0], [0, 1]]), 3)
        >>> found.offsets, found.starts, [row.tolist() for row in found.edges]
        ((1, 1), (0, None), [[True, True, True], [3, 4, 4]])
    """
    if isinstance(pairs, jax.core.Tracer) or len(pairs) == 0:
        return None
    plain = np.asarray(pairs)
    as_listed, sorted_ends = _rows(plain, sites), _rows(np.sort(plain, axis=1), sites)
    rows = min((as_listed, sorted_ends), key=len)
    if len(rows) > MOST_OFFSETS or sites * len(rows) > MOST_WASTE * len(plain):
        return None
    starts, edges = [], []
    for _, row in rows:
        holds = row < len(plain)
        start = int((row - np.arange(sites))[holds][0])
        in_order = np.all((row - np.arange(sites))[holds] == start) and 0 <= start <= len(plain) - sites
        starts.append(start if in_order else None)
        edges.append(jnp.asarray(holds if in_order else row))
    return Bands(tuple(offset for offset, _ in rows), tuple(starts), tuple(edges))


def _rows(pairs: np.ndarray, sites: int) -> list[tuple[int, np.ndarray]]:
    """(offset, the edge from every site or the number of edges) of each band; a few too many where there are many."""
    distance, rows = (pairs[:, 1] - pairs[:, 0]) % sites, []
    for offset in np.unique(distance):
        left = np.flatnonzero(distance == offset)
        while len(left):  # an edge that is listed again goes to another band of the same offset
            _, first = np.unique(pairs[left, 0], return_index=True)
            row = np.full(sites, len(pairs), np.int32)
            row[pairs[left[first], 0]] = left[first]
            rows.append((int(offset), row))
            left = np.delete(left, first)
        if len(rows) > MOST_OFFSETS:
            break
    return rows
