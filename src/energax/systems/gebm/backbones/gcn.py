"""The GCN of `networks/`, trained in Equinox."""

import numpy as np
from scipy import sparse

from energax.data import Graph
from energax.networks import normalised_adjacency

from ..training import train_gcns
from ..trial import CHANCE, Outputs

TITLE = "GCN (Equinox)"


class Trained:
    """Forward passes on the host, from the weights of all members."""

    def __init__(self, weights: tuple[np.ndarray, ...]) -> None:
        self._weights, self.members = weights, len(weights[0])
        self._features: np.ndarray | None = None
        self._sent: dict[int, np.ndarray] = {}

    def outputs(self, graph: Graph, member: int = 0) -> Outputs:
        """Message passing on."""
        a, (_, bias, out, last) = _adjacency(graph), self._of(member)
        hidden = np.maximum(a @ self._products(graph, member) + bias, 0.0)
        return Outputs(a @ (hidden @ out) + last, hidden)

    def alone(self, graph: Graph) -> Outputs:
        """Message passing off."""
        _, bias, out, last = self._of(0)
        hidden = np.maximum(self._products(graph, 0) + bias, 0.0)
        return Outputs(hidden @ out + last, hidden)

    def dropout(self, graph: Graph, rng: np.random.Generator) -> np.ndarray:
        """Half of the hidden units of every node are dropped."""
        a, (_, bias, out, last) = _adjacency(graph), self._of(0)
        hidden = np.maximum(a @ self._products(graph, 0) + bias, 0.0)
        kept = rng.random(hidden.shape, np.float32) >= CHANCE
        return a @ ((hidden * kept / (1.0 - CHANCE)) @ out) + last

    def _of(self, member: int) -> list[np.ndarray]:
        return [each[member] for each in self._weights]

    def _products(self, graph: Graph, member: int) -> np.ndarray:
        """x W_1, kept for the last features that were seen: graphs that differ in their edges share them."""
        if self._features is None or not np.may_share_memory(self._features, graph.x):
            self._features, self._sent = graph.x, {}
        if member not in self._sent:
            self._sent[member] = graph.x @ self._weights[0][member]
        return self._sent[member]


def _adjacency(graph: Graph) -> sparse.csr_array:
    made = normalised_adjacency(graph.edge_index, len(graph))
    where = (np.asarray(made.receivers), np.asarray(made.senders))
    return sparse.csr_array((np.asarray(made.weights), where), shape=(len(graph), len(graph)))


def train(graph: Graph, train: np.ndarray, validation: np.ndarray, members: int, seed: int) -> Trained:
    """`members` networks from weights of their own."""
    nets = train_gcns(graph, train, validation, members=members, seed=seed)
    return Trained(tuple(np.asarray(w) for w in (nets.weight_in, nets.bias_in, nets.weight_out, nets.bias_out)))
