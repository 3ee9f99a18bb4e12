"""What every source of graphs hands out: features, labels and edges of one graph, with their source and licence."""

import dataclasses

import numpy as np

from energax.errors import DataError

from . import checks


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """One undirected graph with a feature vector and a class a node; the arrays are read-only.

    Attributes:
        name: The name under which it was loaded.
        x: Features, float32 [nodes, dim].
        y: Classes, int64 [nodes], 0, 1, ...
        edge_index: Edges in both directions, int64 [2, 2 edges], sorted, without loops and doubles.
        binary: Whether features are words that are there or not (before any normalisation).
        source: Where it comes from, in words.
        licence: The licence of the data.

    Example:
        >>> g = Graph("pair", np.eye(2), np.array([0, 1]), np.array([[0], [1]]), True, "typed in", "CC0")
        >>> g.edge_index.tolist(), g.classes
        ([[0, 1], [1, 0]], 2)
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    edge_index: np.ndarray
    binary: bool
    source: str
    licence: str

    def __post_init__(self) -> None:
        checks.rows(f"Graph.x of {self.name!r}", self.x)
        if self.x.ndim != 2:
            raise DataError(f"Graph.x of {self.name!r} must have shape [nodes, dim]; got shape {self.x.shape}.")
        y, edges = np.asarray(self.y), np.asarray(self.edge_index)
        if y.shape != (len(self.x),) or y.dtype.kind not in "iu" or y.min() < 0:
            raise DataError(f"Graph.y must be classes >= 0 of shape [{len(self.x)}]; got {y.dtype} of shape {y.shape}.")
        if edges.ndim != 2 or edges.shape[0] != 2 or edges.dtype.kind not in "iu":
            raise DataError(f"Graph.edge_index must be integers of shape [2, edges]; got {edges.dtype} {edges.shape}.")
        if edges.size and (edges.min() < 0 or edges.max() >= len(y)):
            raise DataError(f"Graph.edge_index must lie in [0, {len(y)}); got {edges.min()} to {edges.max()}.")
        kept = {"x": np.asarray(self.x, np.float32), "y": y.astype(np.int64), "edge_index": both(edges)}
        for name, value in kept.items():
            value = np.ascontiguousarray(value).view()
            value.setflags(write=False)
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        edges = self.edge_index.shape[1] // 2
        return f"Graph({self.name!r}, nodes={len(self)}, dim={self.x.shape[1]}, classes={self.classes}, edges={edges})"

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return int(self.y.max()) + 1

    @property
    def homophily(self) -> float:
        """Share of edges between nodes of one class."""
        a, b = self.edge_index
        return float(np.mean(self.y[a] == self.y[b])) if a.size else float("nan")

    def part(self, keep: np.ndarray) -> "Graph":
        """The graph of the nodes that the mask keeps, in their order; edges to others are gone.

        Raises:
            ValueError: `keep` is no boolean mask over the nodes.
        """
        keep = np.asarray(keep)
        if keep.shape != self.y.shape or keep.dtype.kind != "b":
            raise ValueError(
                f"Graph.part: keep must be booleans of shape [{len(self)}]; got {keep.dtype} {keep.shape}."
            )
        place = np.cumsum(keep) - 1
        a, b = self.edge_index
        stay = keep[a] & keep[b]
        edges = np.stack([place[a[stay]], place[b[stay]]])
        return dataclasses.replace(self, x=self.x[keep], y=self.y[keep], edge_index=edges)

    def with_features(self, x: np.ndarray) -> "Graph":
        """The same graph with other features, [nodes, dim]."""
        return dataclasses.replace(self, x=x)


def both(edges: np.ndarray) -> np.ndarray:
    """Every edge once in each direction, sorted, without loops."""
    edges = edges[:, edges[0] != edges[1]]
    pairs = np.concatenate([edges, edges[::-1]], axis=1).astype(np.int64)
    return np.unique(pairs, axis=1)
