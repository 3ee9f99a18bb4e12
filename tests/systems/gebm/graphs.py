"""A small graph with a two-class head on top of its embeddings, for the exact laws."""

from typing import NamedTuple

import numpy as np

from energax.systems.gebm import GraphEvidence


class Case(NamedTuple):
    """Everything that a fit takes; logits are an affine head of the embeddings."""

    logits: np.ndarray
    embeddings: np.ndarray
    edges: np.ndarray
    labels: np.ndarray
    train: np.ndarray
    weight: np.ndarray
    bias: np.ndarray

    def fit(self, **options) -> GraphEvidence:
        """GEBM of this case."""
        return GraphEvidence.fit(self.logits, self.embeddings, self.edges, self.labels, self.train, **options)

    def score(self, **options):
        """Fits, and scores the same arrays."""
        return self.fit(**options).score(self.logits, self.embeddings, self.edges)


def both_ways(sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Each edge in both directions, [2, 2 edges]."""
    return np.stack([np.concatenate([sources, targets]), np.concatenate([targets, sources])])


def case(nodes: int = 60, classes: int = 3, dim: int = 2, edges: int = 120, seed: int = 0) -> Case:
    """Gaussian classes in `dim` dimensions on a random graph; the last nodes have no edge at all."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(nodes) % classes)
    centres = 2.0 * rng.normal(size=(classes, dim))
    embeddings = centres[labels] + rng.normal(size=(nodes, dim))
    weight, bias = rng.normal(size=(classes, dim)), rng.normal(size=classes)
    ends = rng.integers(0, nodes - 3, size=(2, edges))
    ends = ends[:, ends[0] != ends[1]]
    return Case(
        embeddings @ weight.T + bias, embeddings, both_ways(*ends), labels, rng.random(nodes) < 0.7, weight, bias
    )
