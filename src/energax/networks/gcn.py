"""A graph convolutional network with one hidden layer, with and without message passing.

    hidden = relu(A x W_1 + b_1),   logits = A hidden W_2 + b_2,   A = D^{-1/2} (adjacency + loops) D^{-1/2}

Without message passing A is the identity: the same weights, each node by itself.

Source: Kipf and Welling (2017), Semi-supervised classification with graph convolutional networks, arXiv:1609.02907,
eq. (9).
What differs: dropout acts on the hidden layer alone, so that A x is computed once for all steps.
Cost: O(nodes * dim * width + edges * (dim + classes)); sums over edges are segment sums.
Fails where neighbours differ: A averages what should be told apart.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from energax.core import Key, checks


class Adjacency(eqx.Module):
    """Weighted edges from nodes to nodes, that may be those of a part of a graph.

    Attributes:
        senders: Where an edge begins, [edges].
        receivers: Where it ends, [edges].
        weights: [edges].
        nodes: Number of receivers.
    """

    senders: Int[Array, " edges"]
    receivers: Int[Array, " edges"]
    weights: Float[Array, " edges"]
    nodes: int = eqx.field(static=True)

    def __call__(self, h: Float[Array, "senders dim"]) -> Float[Array, "nodes dim"]:
        """A h: the weighted sum over the edges into each node."""
        return jax.ops.segment_sum(self.weights[:, None] * h[self.senders], self.receivers, self.nodes)


def normalised_adjacency(edge_index: np.ndarray, nodes: int) -> Adjacency:
    """D^{-1/2} (adjacency + loops) D^{-1/2}.

    Args:
        edge_index: Integers [2, edges], both directions, without loops and doubles.
        nodes: Number of nodes.

    Raises:
        ValueError: The edges are not integers of that shape in [0, nodes).

    Example:
        >>> a = normalised_adjacency(np.array([[0, 1], [1, 0]]), 2)
        >>> a(jnp.array([[1.0], [3.0]])).tolist()
        [[2.0], [2.0]]
    """
    checks.count("normalised_adjacency", "nodes", nodes)
    edges = np.asarray(edge_index)
    if edges.ndim != 2 or edges.shape[0] != 2 or edges.dtype.kind not in "iu":
        raise ValueError(
            f"normalised_adjacency: edge_index must be integers [2, edges]; got {edges.dtype} {edges.shape}."
        )
    if edges.size and (edges.min() < 0 or edges.max() >= nodes):
        raise ValueError(f"normalised_adjacency: edge_index must lie in [0, {nodes}); got up to {edges.max()}.")
    loops = np.arange(nodes)
    senders, receivers = np.concatenate([edges[0], loops]), np.concatenate([edges[1], loops])
    root = 1.0 / np.sqrt(np.bincount(receivers, minlength=nodes))
    weights = (root[senders] * root[receivers]).astype(np.float32)
    return Adjacency(jnp.asarray(senders), jnp.asarray(receivers), jnp.asarray(weights), nodes)


class GCN(eqx.Module):
    """One hidden layer of graph convolution, ReLU, and a head of graph convolution.

    Args:
        in_size: Number of features of a node.
        width: Of the hidden layer.
        out_size: Number of classes.
        key: Draws the initial weights, uniform as Glorot and Bengio (2010) have it.

    Raises:
        ValueError: A size is not a positive integer.

    Example:
        >>> net = GCN(3, 8, 2, key=jax.random.key(0))
        >>> ring = normalised_adjacency(np.array([[0, 1, 2, 1, 2, 0], [1, 2, 0, 0, 1, 2]]), 3)
        >>> logits, hidden = net(jnp.eye(3), ring)
        >>> logits.shape, hidden.shape
        ((3, 2), (3, 8))
        >>> bool(jnp.ptp(logits, axis=0).max() < 1e-6)  # on a triangle all nodes see the same
        True
    """

    weight_in: Float[Array, "dim width"]
    bias_in: Float[Array, " width"]
    weight_out: Float[Array, "width classes"]
    bias_out: Float[Array, " classes"]

    def __init__(self, in_size: int, width: int, out_size: int, *, key: Key):
        for name, value in (("in_size", in_size), ("width", width), ("out_size", out_size)):
            checks.count("GCN", name, value)
        checks.typed_key("GCN", key)
        first, second = jax.random.split(key)
        glorot = jax.nn.initializers.glorot_uniform()
        self.weight_in, self.bias_in = glorot(first, (in_size, width)), jnp.zeros(width)
        self.weight_out, self.bias_out = glorot(second, (width, out_size)), jnp.zeros(out_size)

    def __call__(
        self, x: Float[Array, "nodes dim"], adjacency: Adjacency | None
    ) -> tuple[Float[Array, "nodes classes"], Float[Array, "nodes width"]]:
        """(logits, hidden layer) of all nodes; `adjacency` None switches message passing off."""
        hidden = self.hidden(x if adjacency is None else adjacency(x))
        return self.head(hidden, adjacency), hidden

    def hidden(self, inputs: Float[Array, "nodes dim"]) -> Float[Array, "nodes width"]:
        """The hidden layer from A x."""
        return jax.nn.relu(inputs @ self.weight_in + self.bias_in[None])

    def head(self, hidden: Float[Array, "senders width"], adjacency: Adjacency | None) -> Float[Array, "nodes classes"]:
        """Logits from the hidden layer."""
        sent = hidden @ self.weight_out
        return (sent if adjacency is None else adjacency(sent)) + self.bias_out[None]
