"""Finiteness at the gate: what a step made is looked at before any of it is let in; the first bad leaf gets a code.

Cost: one pass of inner products over batch, gradients, parameters, optimiser and objective state, and one of selections
over what is carried (`benchmarks/bench_training.py` measures it).
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

PARTS = ("objective state", "loss", "gradient", "parameters", "optimizer state")
"""The order in which a turn's numbers come to be, after the batch: the first bad one is nearest to the cause."""


class Culprit(NamedTuple):
    """Where a non-finite number was first met.

    Attributes:
        phase: The phase's name.
        part: "batch", or one of `PARTS`.
        path: The leaf's path inside the part, as `.net.layers[0].weight`; empty where the part is one number.
    """

    phase: str
    part: str
    path: str

    def __str__(self) -> str:
        return f"{self.part}{self.path} of phase '{self.phase}'"


def floats(tree: Any) -> list[Array]:
    """The arrays of floats of a tree, in the order of `paths`."""
    return [leaf for leaf in jax.tree.leaves(tree) if eqx.is_inexact_array(leaf)]


def paths(tree: Any) -> list[str]:
    """The path of each array of floats, in the order of `floats`."""
    with_path = jax.tree_util.tree_leaves_with_path(tree)
    return [jax.tree_util.keystr(path) for path, leaf in with_path if eqx.is_inexact_array(leaf)]


def squares(leaves: list[Array]) -> Float[Array, ""]:
    """The sum of squares over all leaves, in float32."""
    total = jnp.zeros((), jnp.float32)
    for leaf in leaves:
        flat = leaf.astype(jnp.float32).ravel()
        total = total + jnp.vdot(flat, flat)
    return total


def first_bad(batch: list[Array], turn: list[Array], offset: int) -> Int[Array, ""]:
    """The code of the first leaf that holds a non-finite entry; 0 if all are finite.

    Args:
        batch: The batch's leaves: codes -1, -2, ... in their order.
        turn: The turn's leaves, in the order of `PARTS`: codes offset + 1, offset + 2, ...
        offset: Leaves of the phases before this one.
    """
    leaves = batch + turn
    codes = [-(i + 1) for i in range(len(batch))] + [offset + i + 1 for i in range(len(turn))]

    def search() -> Int[Array, ""]:
        bad = jnp.stack([~finite(leaf) for leaf in leaves])
        return jnp.where(jnp.any(bad), jnp.array(codes, jnp.int32)[jnp.argmax(bad)], jnp.int32(0))

    # inner products are the fastest pass there is; only where theirs is no finite number are leaves looked at singly,
    # so that entries too large to be squared are not taken for infinities
    return jax.lax.cond(jnp.isfinite(squares(leaves)), lambda: jnp.int32(0), search)


def finite(leaf: Array) -> Bool[Array, ""]:
    """Whether every entry of a leaf is finite, by one sum; exact for fewer than 2^40 entries.

    Infinities and NaN survive any sum. Scaled by 2^-40, finite float32 numbers cannot overflow theirs.
    """
    return jnp.isfinite(jnp.sum(leaf.astype(jnp.float32) * jnp.float32(2.0**-40)))
