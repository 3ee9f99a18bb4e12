"""Arithmetic and noise on pytrees of arrays: what a sampler does to a sample that need not be one array."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree, Scalar

from .random import standard_normal


def normal_like(key: Any, tree: PyTree) -> PyTree:
    """Standard normal noise in the shape of `tree`: one draw of random words for all leaves together.

    Args:
        key: One typed key; it is used up.
        tree: Leaves are floating-point arrays (or `jax.ShapeDtypeStruct`).

    Returns:
        A tree of independent N(0, 1) entries with the leaves' shapes and dtypes.

    Raises:
        ValueError: a leaf is not floating point.

    Example:
        >>> noise = normal_like(jax.random.key(0), {"a": jnp.zeros(2), "b": jnp.zeros((2, 3))})
        >>> noise["b"].shape
        (2, 3)
    """
    leaves, treedef = jax.tree.flatten(tree)
    for leaf in leaves:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise ValueError(f"normal_like: every leaf must be floating point; got {leaf.dtype} of shape {leaf.shape}.")
    if len(leaves) == 1:
        return jax.tree.unflatten(treedef, [standard_normal(key, leaves[0].shape, leaves[0].dtype)])
    flat = standard_normal(key, (sum(leaf.size for leaf in leaves),), _widest(leaves))
    noise, start = [], 0
    for leaf in leaves:
        noise.append(flat[start : start + leaf.size].reshape(leaf.shape).astype(leaf.dtype))
        start += leaf.size
    return jax.tree.unflatten(treedef, noise)


def squared_norm(tree: PyTree) -> Scalar:
    """The sum of squares over every inexact leaf, accumulated in at least float32.

    Example:
        >>> float(squared_norm((jnp.ones(2), jnp.ones((2, 2)))))
        6.0
    """
    return dot(tree, tree)


def dot(a: PyTree, b: PyTree) -> Scalar:
    """The inner product over every inexact leaf of two trees of one structure, accumulated in at least float32."""
    left, right = _inexact(a), _inexact(b)
    dtype = _widest(left)
    total = jnp.zeros((), dtype)
    for u, v in zip(left, right, strict=True):
        total = total + jnp.sum(u.astype(dtype) * v.astype(dtype))
    return total


def global_norm(tree: PyTree) -> Scalar:
    """The Euclidean norm of a tree read as one long vector."""
    return jnp.sqrt(squared_norm(tree))


def where(take: Bool[Array, ""], a: PyTree, b: PyTree) -> PyTree:
    """`a` if `take` else `b`, leaf by leaf: what an accept step does to a whole state."""
    return jax.tree.map(lambda u, v: jnp.where(take, u, v), a, b)


def where_rows(take: Bool[Array, " rows"], a: PyTree, b: PyTree) -> PyTree:
    """Row by row (axis 0 of every leaf), `a` where `take` and `b` elsewhere.

    Example:
        >>> where_rows(jnp.array([True, False]), jnp.ones((2, 2)), jnp.zeros((2, 2))).tolist()
        [[1.0, 1.0], [0.0, 0.0]]
    """
    return jax.tree.map(lambda u, v: jnp.where(jnp.reshape(take, (-1,) + (1,) * (u.ndim - 1)), u, v), a, b)


def add_scaled(a: PyTree, scale: float | Scalar | PyTree, b: PyTree) -> PyTree:
    """a + scale * b, in the dtype of `a`'s leaves.

    Args:
        a: A tree of arrays.
        scale: A number for all, or a tree like `a` (or a prefix of it) whose leaves are numbers or have `a`'s shapes.
        b: A tree like `a`.

    Raises:
        ValueError: `scale` fits neither way.

    Example:
        >>> add_scaled(jnp.ones(2), -2.0, jnp.ones(2)).tolist()
        [-1.0, -1.0]
        >>> add_scaled(jnp.ones(2), jnp.array([1.0, 3.0]), jnp.ones(2)).tolist()
        [2.0, 4.0]
    """
    return jax.tree.map(lambda u, s, v: u + jnp.asarray(s, u.dtype) * v.astype(u.dtype), a, per_leaf(scale, a), b)


def scaled(scale: float | Scalar | PyTree, tree: PyTree) -> PyTree:
    """scale * tree, in the dtype of `tree`'s leaves; `scale` as in `add_scaled`.

    Example:
        >>> scaled({"a": 2.0, "b": jnp.array([1.0, 3.0])}, {"a": jnp.ones(1), "b": jnp.ones(2)})["b"].tolist()
        [1.0, 3.0]
    """
    tree = jax.tree.map(jnp.asarray, tree)
    return jax.tree.map(lambda s, v: jnp.asarray(s, v.dtype) * v, per_leaf(scale, tree), tree)


def per_leaf(scale: float | Scalar | PyTree, tree: PyTree) -> PyTree:
    """`scale` with one entry for every leaf of `tree`: a number, or an array in the leaf's shape.

    Raises:
        ValueError: `scale` is neither a number nor a tree like `tree` (or a prefix of it).
    """
    try:
        whole = jax.tree.broadcast(scale, tree)
    except ValueError as error:
        got, wanted = jax.tree.structure(scale), jax.tree.structure(tree)
        raise ValueError(f"scale must be a number or a tree like x, {wanted}; got {got}.") from error
    for entry, leaf in zip(jax.tree.leaves(whole), jax.tree.leaves(tree), strict=True):
        if jnp.shape(entry) not in ((), leaf.shape):
            raise ValueError(f"scale must be a number or of a leaf's shape {leaf.shape}; got shape {jnp.shape(entry)}.")
    return whole


def all_finite(tree: PyTree) -> Bool[Array, ""]:
    """True where no inexact leaf holds an infinity or a NaN; exact leaves are always finite."""
    good = jnp.array(True)
    for leaf in _inexact(tree):
        good = good & jnp.all(jnp.isfinite(leaf))
    return good


def _inexact(tree: PyTree) -> list:
    return [leaf for leaf in jax.tree.leaves(tree) if eqx.is_inexact_array(leaf)]


def _widest(leaves: list) -> Any:
    return jnp.float64 if any(leaf.dtype == jnp.float64 for leaf in leaves) else jnp.float32
