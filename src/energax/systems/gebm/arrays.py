"""What enters: NumPy, JAX or torch arrays become NumPy's at the door, and what does not fit a graph is refused there.

What any array must be is asked of `energax.checks`; here stands what is asked of nodes, edges and classes besides.
"""

from typing import Any

import numpy as np
from scipy import sparse

from energax import checks


def matrix(owner: str, name: str, value: Any, rows: int | None = None, columns: int | None = None) -> np.ndarray:
    """`value` as floats [nodes, columns]; ValueError unless it is real, finite, of that shape, not empty.

    Float32 of NumPy and JAX stays as it is: a million nodes take half the memory.
    """
    value = checks.on_host(owner, name, value)
    checks.samples(owner, name, value, ndim=2)
    array = np.asarray(value)
    if rows not in (None, len(array)) or columns not in (None, array.shape[1]):
        wanted = f"[{'nodes' if rows is None else rows}, {'columns' if columns is None else columns}]"
        raise ValueError(f"{owner}: {name} must have shape {wanted}; got shape {array.shape}.")
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def one_step(owner: str, step: Any) -> sparse.csr_array:
    """`step`; ValueError unless it is a square matrix in compressed sparse rows, as `walk` makes it."""
    if not sparse.issparse(step) or step.format != "csr" or step.shape[0] != step.shape[1]:
        got = f"{type(step).__name__} of shape {getattr(step, 'shape', 'none')}"
        raise ValueError(f"{owner}: step must be the square sparse matrix that `walk` makes; got {got}.")
    return step


def edges(owner: str, edge_index: Any, nodes: int) -> np.ndarray:
    """`edge_index` as int32 or int64 [2, edges] in [0, nodes), a column (from, to) an edge; ValueError if it is not so.

    Narrower integers are widened: they hold the ends of the edges, but not the number of every node.
    """
    array = np.asarray(checks.on_host(owner, "edge_index", edge_index))
    if array.size == 0 and (array.shape[:1] == (2,) or array.ndim == 1):
        return np.empty((2, 0), np.int64)
    if array.ndim != 2 or array.shape[0] != 2:
        raise ValueError(f"{owner}: edge_index must have shape [2, edges]; got {_form(edge_index, array)}.")
    if array.dtype.kind not in "iu":
        raise ValueError(f"{owner}: edge_index must hold integers; got dtype {array.dtype}.")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= nodes:
        raise ValueError(f"{owner}: edge_index must lie in [0, {nodes}), one number a node; got {low} to {high}.")
    return array if array.dtype in (np.int32, np.int64) else array.astype(np.int64)


def _form(given: Any, array: np.ndarray) -> str:
    """What an array looks like; of what is no array, such as a sparse matrix, its type."""
    return f"shape {array.shape}" if array.ndim else f"a {type(given).__name__}"


def mask(owner: str, name: str, value: Any, nodes: int) -> np.ndarray:
    """`value` as booleans [nodes]; positions of nodes do as well. ValueError if it is neither, or names no node."""
    array = np.asarray(checks.on_host(owner, name, value))
    if array.ndim != 1 or array.dtype.kind not in "biu":
        raise ValueError(f"{owner}: {name} must be booleans or positions; got {array.dtype} of shape {array.shape}.")
    if array.dtype.kind != "b":
        if len(array) == nodes > 2 and set(np.unique(array).tolist()) <= {0, 1}:
            raise ValueError(f"{owner}: {name} must be booleans or positions; got 0 and 1 of {array.dtype} a node.")
        if array.size and (array.min() < 0 or array.max() >= nodes):
            raise ValueError(
                f"{owner}: {name} must hold positions in [0, {nodes}); got {array.min()} to {array.max()}."
            )
        chosen = np.zeros(nodes, bool)
        chosen[array] = True
        array = chosen
    if len(array) != nodes:
        raise ValueError(f"{owner}: {name} must have one boolean a node, {nodes}; got {len(array)}.")
    if not array.any():
        raise ValueError(f"{owner}: {name} must choose at least one node; got none.")
    return array


def labels(owner: str, value: Any, chosen: np.ndarray, classes: int) -> np.ndarray:
    """Classes of the chosen nodes, int64; ValueError unless all lie in [0, classes) and each class has two nodes."""
    array = np.asarray(checks.on_host(owner, "labels", value))
    if array.shape != chosen.shape:
        raise ValueError(f"{owner}: labels must be one a node, shape {chosen.shape}; got shape {array.shape}.")
    found = checks.labels(owner, "labels of training nodes", array[chosen], int(chosen.sum()), classes=classes)
    counts = np.bincount(found, minlength=classes)
    if counts.min() < 2:
        few = int(counts.argmin())
        raise ValueError(f"{owner}: every class must have at least 2 training nodes; got {counts[few]} of class {few}.")
    return found


def log_sum_exp(x: np.ndarray) -> np.ndarray:
    """log sum_c exp(x_ic) of every row, [nodes]; a row of -inf gives -inf."""
    top = x.max(axis=1)
    shift = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return shift + np.log(np.exp(x - shift[:, None]).sum(axis=1))
