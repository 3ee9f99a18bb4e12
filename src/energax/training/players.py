"""Whose parameters move in a turn, and whose rest."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax


def whole(model: Any) -> Any:
    """Selects the model itself: every array of floats moves."""
    return model


def split(model: Any, trains: Callable[[Any], Any], owner: str = "split") -> tuple[Any, Any]:
    """The part of a model that moves, and the rest: `equinox.combine(moving, still)` is the model again.

    Args:
        model: Any pytree.
        trains: model -> the part that moves: a node of it, or a tuple of nodes, as `lambda m: (m.encoder, m.energy)`.
        owner: Whose selection this is; named in the message.

    Returns:
        Two trees of the model's structure, with None where the other one holds the leaf. Only arrays of floats move.

    Raises:
        ValueError: `trains` selects no array of floats, or something that is no part of the model.

    Example:
        >>> import jax.numpy as jnp
        >>> moving, still = split({"a": jnp.ones(2), "b": jnp.ones(3)}, lambda m: m["a"])
        >>> moving["b"] is None, still["a"] is None
        (True, True)
    """
    chosen = trains(model)
    nothing = jax.tree.map(lambda _: False, model)
    try:
        mask = eqx.tree_at(trains, nothing, jax.tree.map(eqx.is_inexact_array, chosen), is_leaf=lambda n: n is None)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{owner} must select parts of the model; got {type(chosen).__name__}.") from error
    moving, still = eqx.partition(model, mask)
    if not jax.tree.leaves(moving):
        raise ValueError(f"{owner} must select at least one array of floats; got {type(chosen).__name__} without any.")
    return moving, still
