"""Couplings of a graph, sorted by the distance of the site numbers: sums over neighbours as shifts of whole arrays.

Source: Saad (2003), Iterative methods for sparse linear systems, 2nd edition, doi:10.1137/1.9780898718003, section 3.4
(storage by diagonals).
What differs: the stored numbers are places in the list of edges, so that strengths stay one array that can be trained.
A lattice has a few distances only (64 x 64 periodic: 1, 63, 64, 4032), and its chains in parallel then cost one fused
pass, where gathers and scatters by index cost some twenty times as much on a CPU. Cost: sites - distance operations a
distance. Where it fails: a graph without order has about as many distances as edges; `bands` then says None.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Scalar

MOST_OFFSETS = 64
MOST_WASTE = 8
"""Entries of all shifts for every edge, above which indices are the better way."""


class Bands(eqx.Module):
    """The edges of a graph by the distance of their sites.

    Args:
        offsets: b - a of each band, > 0; a band holds one edge a site at most.
        edges: For each band, which edge joins a and a + offset, for a = 0 .. sites - offset - 1; the number of edges
            where none does.
    """

    offsets: tuple[int, ...] = eqx.field(static=True)
    edges: tuple[Int[Array, " _"], ...]

    def pair_sum(self, strengths: Float[Array, " edges"], x: Float[Array, "sites *row"]) -> Scalar:
        """sum over edges (a, b) of J_ab x_a . x_b."""
        total = jnp.zeros((), x.dtype)
        for offset, weights in self._weights(strengths, x):
            total = total + jnp.sum(weights * x[:-offset] * x[offset:])
        return total

    def neighbour_sum(
        self, strengths: Float[Array, " edges"], x: Float[Array, "sites *row"]
    ) -> Float[Array, "sites *row"]:
        """sum over the neighbours j of i of J_ij x_j, for every site i at once."""
        total = jnp.zeros_like(x)
        rest = ((0, 0),) * (x.ndim - 1)
        for offset, weights in self._weights(strengths, x):
            total = total + jnp.pad(weights * x[offset:], ((0, offset), *rest))
            total = total + jnp.pad(weights * x[:-offset], ((offset, 0), *rest))
        return total

    def _weights(self, strengths: Array, x: Array) -> list[tuple[int, Array]]:
        padded = jnp.concatenate([strengths, jnp.zeros((1,), strengths.dtype)])
        shape = (-1,) + (1,) * (x.ndim - 1)
        return [(offset, padded[edges].reshape(shape)) for offset, edges in zip(self.offsets, self.edges, strict=True)]


def bands(pairs: Array | np.ndarray, sites: int) -> Bands | None:
    """The bands of a graph, or None where shifts would not pay (or the pairs are traced).

    Args:
        pairs: The two sites of every edge, integers [edges, 2], no site with itself.
        sites: How many.

    Example:
        >>> found = bands(np.array([[0, 1], [1, 2], [2, 0], [0, 1]]), 3)
        >>> found.offsets, [row.tolist() for row in found.edges]
        ((1, 1, 2), [[0, 1], [3, 4], [2]])
    """
    if isinstance(pairs, jax.core.Tracer) or len(pairs) == 0:
        return None
    plain = np.sort(np.asarray(pairs), axis=1)
    low, distance = plain[:, 0], plain[:, 1] - plain[:, 0]
    offsets, rows = [], []
    for offset in np.unique(distance):
        left = np.flatnonzero(distance == offset)
        while len(left):  # an edge that is listed again goes to another band of the same offset
            _, first = np.unique(low[left], return_index=True)
            row = np.full(sites - offset, len(plain), np.int32)
            row[low[left[first]]] = left[first]
            offsets.append(int(offset))
            rows.append(row)
            left = np.delete(left, first)
        if len(offsets) > MOST_OFFSETS:
            return None
    if sum(map(len, rows)) > MOST_WASTE * len(plain):
        return None
    return Bands(tuple(offsets), tuple(jnp.asarray(row) for row in rows))
