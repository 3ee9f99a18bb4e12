"""What a method may look at: trained networks, the graph they were trained on, and one that may be shifted."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

from energax.data import Graph

from .evidence import GraphEvidence
from .regulariser import ClassGaussians

ENSEMBLE, SAMPLES, CHANCE = 10, 50, 0.5
"""Members of an ensemble, passes of dropout and of dropped edges, and the chance of each to be dropped."""


class Outputs(NamedTuple):
    """What a network says of all nodes: logits [nodes, classes] and what its last layer is given, [nodes, dim]."""

    logits: np.ndarray
    embeddings: np.ndarray


class Backbone(Protocol):
    """Trained networks, one or several members."""

    members: int

    def outputs(self, graph: Graph, member: int = 0) -> Outputs:
        """The ordinary forward pass, dropout off."""
        ...

    def alone(self, graph: Graph) -> Outputs:
        """The first member with message passing switched off."""
        ...

    def dropout(self, graph: Graph, rng: np.random.Generator) -> np.ndarray:
        """Logits of the first member with dropout on."""
        ...


class Trial:
    """Networks trained on the known part of a graph.

    Args:
        backbone: The networks.
        graph: The known part that they were trained on.
        train: Its labelled nodes, booleans [nodes].
        validation: Its nodes for early stopping, booleans [nodes].
        seed: Of whatever a method draws.
    """

    def __init__(self, backbone: Backbone, graph: Graph, train: np.ndarray, validation: np.ndarray, seed: int) -> None:
        self.backbone, self.graph, self.train, self.validation, self.seed = backbone, graph, train, validation, seed
        self._made: dict[str, Any] = {}

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` makes, made at the first call of that name."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def evidence(self, **options: Any) -> GraphEvidence:
        """GEBM fitted to the known part."""
        seen = self.known

        def make() -> GraphEvidence:
            arrays = (*seen.outputs, self.graph.edge_index, self.graph.y, self.train)
            return GraphEvidence.fit(*arrays, alone=seen.alone, **options)

        return self.once(f"evidence {sorted(options.items())}", make)

    @property
    def gaussians(self) -> ClassGaussians:
        """A Gaussian a class on propagated embeddings of the labelled nodes."""
        return self.evidence().gaussians

    @cached_property
    def known(self) -> "Seen":
        """The known part, seen by the networks."""
        return Seen(self, self.graph)


class Seen:
    """A graph as the networks see it.

    Args:
        trial: Whose networks.
        graph: The graph; its features may be shifted and foreign nodes may be in it.
    """

    def __init__(self, trial: Trial, graph: Graph) -> None:
        self.trial, self.graph = trial, graph

    @cached_property
    def outputs(self) -> Outputs:
        """Of the first member, propagated."""
        return self.trial.backbone.outputs(self.graph)

    @cached_property
    def alone(self) -> Outputs:
        """Of the first member, message passing off."""
        return self.trial.backbone.alone(self.graph)

    def rng(self, purpose: int) -> np.random.Generator:
        """Draws that depend on the trial's seed and on the purpose alone."""
        return np.random.default_rng([self.trial.seed, purpose])


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of the classes, [nodes, classes]."""
    weights = np.exp(np.asarray(logits, np.float64) - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def entropy(p: np.ndarray) -> np.ndarray:
    """-sum_c p_c log p_c of every node, nats."""
    return -np.sum(p * np.log(np.maximum(p, 1e-300)), axis=-1)


def mutual_information(passes: list[np.ndarray]) -> np.ndarray:
    """H[mean p] - mean H[p] over the passes' logits, nats: what the passes disagree about; high is uncertain."""
    p = np.stack([softmax(logits) for logits in passes])
    return entropy(p.mean(axis=0)) - entropy(p).mean(axis=0)
