"""Lazy diffusion of a signal over a graph: s <- alpha s + (1 - alpha) P s, so many times.

P = D^{-1} (A + I), row-stochastic, loops added where there are none, D the degrees with the loop. alpha weighs the
CURRENT signal (a lazy walk); it is no restart to the first one, as in APPNP.

Source: Fuchsgruber, Wollschläger and Günnemann (2024), arXiv:2406.04043, label propagation as its reference code
computes it; Wu, Chen, Yang and Yan (2023), arXiv:2302.02914, eq. (9), for alpha, steps and no loops (GNNSafe).
Exact: k steps are the k-th power of one matrix; rows sum to one, so that constants stay and nothing leaves the range of
the signal ("row", with loops).
Cost: O(steps * (nodes + edges)) for each column, in one compressed sparse matrix.
Fails on graphs without homophily: neighbours then tell nothing of each other.
"""

from typing import Any

import numpy as np
from scipy import sparse

from energax import checks

from . import arrays

KINDS = ("row", "symmetric", "column")


def walk(edge_index: Any, nodes: int, *, alpha: float = 0.5, kind: str = "row", loops: bool = True) -> sparse.csr_array:
    """The matrix of one lazy step, alpha I + (1 - alpha) P, [nodes, nodes].

    Args:
        edge_index: Integers [2, edges], a column (from, to) an edge; an undirected graph has both directions. An edge
            that stands twice counts once.
        nodes: Number of nodes.
        alpha: Weight of the current signal, in [0, 1].
        kind: "row" averages over neighbours; "symmetric" is D^{-1/2} (A + I) D^{-1/2}, as a GCN has it; "column" is the
            transpose of "row".
        loops: Whether a node without a loop gets one. Without, a node that nothing points at keeps alpha times its
            own signal.

    Raises:
        ValueError: The edges are no integers in range, or an option is not known.

    Example:
        >>> walk(np.array([[0, 1], [1, 0]]), 3).toarray()
        array([[0.75, 0.25, 0.  ],
               [0.25, 0.75, 0.  ],
               [0.  , 0.  , 1.  ]])
    """
    checks.count("walk", "nodes", nodes)
    checks.share("walk", "alpha", alpha)
    if kind not in KINDS:
        raise ValueError(f"walk.kind must be one of {', '.join(KINDS)}; got {kind!r}.")
    sources, targets = arrays.edges("walk", edge_index, nodes)
    if loops:
        own = np.arange(nodes, dtype=sources.dtype)
        sources, targets = np.concatenate([sources, own]), np.concatenate([targets, own])
    a = sparse.csr_array((np.ones(len(sources)), (targets, sources)), shape=(nodes, nodes))  # doubles become one entry
    degrees = np.diff(a.indptr)
    scale = np.divide(1.0 - alpha, degrees, out=np.zeros(nodes), where=degrees > 0)
    if kind == "symmetric":
        root = np.divide(1.0, np.sqrt(degrees), out=np.zeros(nodes), where=degrees > 0)
        a.data = (1.0 - alpha) * np.repeat(root, degrees) * root[a.indices]
    else:
        a.data = np.repeat(scale, degrees)
    p = a.T.tocsr() if kind == "column" else a
    if not loops:
        return (p + sparse.diags_array(np.full(nodes, float(alpha)), format="csr")).tocsr()
    p.data[p.indices == np.repeat(np.arange(nodes), np.diff(p.indptr))] += alpha
    return p


def diffuse(step: sparse.csr_array, signal: Any, steps: int) -> np.ndarray:
    """The signal after `steps` steps, float64.

    Args:
        step: What `walk` made.
        signal: [nodes] or [nodes, columns], of NumPy, JAX or torch.
        steps: Number of steps, >= 0.

    Raises:
        ValueError: `steps` is no integer >= 0, `step` is no matrix of `walk`, or the signal is not finite or of other
            nodes.

    Example:
        >>> diffuse(walk(np.array([[0, 1], [1, 0]]), 2), np.array([1.0, 0.0]), 2)
        array([0.625, 0.375])
    """
    checks.count("diffuse", "steps", steps, least=0)
    step = arrays.one_step("diffuse", step)
    s = checks.array("diffuse", "signal", signal)
    if s.shape[:1] != step.shape[:1]:
        raise ValueError(f"diffuse: signal must have one row a node, {step.shape[0]}; got shape {s.shape}.")
    for _ in range(steps):
        s = step @ s
    return s
