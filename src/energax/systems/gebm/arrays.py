"""What enters: NumPy, JAX or torch arrays become NumPy's at the door, and what is wrong is refused there.

A torch tensor is known by its own methods; torch is never imported.
"""

from typing import Any

import numpy as np


def to_numpy(value: Any) -> np.ndarray:
    """`value` as a NumPy array; a torch tensor leaves its graph and its device first."""
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) in ("torch.bfloat16", "torch.float16") else value
        return np.asarray(value.numpy())
    return np.asarray(value)


def matrix(owner: str, name: str, value: Any, rows: int | None = None, columns: int | None = None) -> np.ndarray:
    """`value` as floats [nodes, columns]; ValueError unless it is real, finite, of that shape, not empty."""
    array = to_numpy(value)
    wanted = f"[{'nodes' if rows is None else rows}, {'columns' if columns is None else columns}]"
    wrong = array.ndim != 2 or array.size == 0 or rows not in (None, len(array))
    if wrong or columns not in (None, array.shape[1]):
        raise ValueError(f"{owner}: {name} must have shape {wanted}; got shape {array.shape}.")
    if array.dtype.kind not in "fiu" and array.dtype.name != "bfloat16":
        raise ValueError(f"{owner}: {name} must hold real numbers; got dtype {array.dtype}.")
    array = array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        raise ValueError(f"{owner}: {name} must be finite; got a non-finite entry in row {int(np.argmin(finite))}.")
    return array


def edges(owner: str, edge_index: Any, nodes: int) -> np.ndarray:
    """`edge_index` as integers [2, edges] in [0, nodes), a column (from, to) an edge; ValueError if it is not so."""
    array = to_numpy(edge_index)
    if array.size == 0 and (array.shape[:1] == (2,) or array.ndim == 1):
        return np.empty((2, 0), np.int64)
    if array.ndim != 2 or array.shape[0] != 2:
        raise ValueError(f"{owner}: edge_index must have shape [2, edges]; got shape {array.shape}.")
    if array.dtype.kind not in "iu":
        raise ValueError(f"{owner}: edge_index must hold integers; got dtype {array.dtype}.")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= nodes:
        raise ValueError(f"{owner}: edge_index must lie in [0, {nodes}), one number a node; got {low} to {high}.")
    return array


def mask(owner: str, name: str, value: Any, nodes: int) -> np.ndarray:
    """`value` as booleans [nodes]; positions of nodes do as well. ValueError if it is neither, or names no node."""
    array = to_numpy(value)
    if array.ndim != 1 or array.dtype.kind not in "biu":
        raise ValueError(f"{owner}: {name} must be booleans or positions; got {array.dtype} of shape {array.shape}.")
    if array.dtype.kind != "b":
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
    array = to_numpy(value)
    if array.shape != chosen.shape or array.dtype.kind not in "iu":
        got = f"{array.dtype} of shape {array.shape}"
        raise ValueError(f"{owner}: labels must be integers of shape [{len(chosen)}]; got {got}.")
    found = array[chosen].astype(np.int64)
    if found.min() < 0 or found.max() >= classes:
        got = f"{found.min()} to {found.max()}"
        raise ValueError(f"{owner}: labels of training nodes must lie in [0, {classes}), one a logit; got {got}.")
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
