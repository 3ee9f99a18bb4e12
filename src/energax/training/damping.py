"""A learning-rate brake that lives in the optimiser's state, so that a run can slow down without a new compile.

The factor is data: it is saved with a checkpoint, and `brake` lowers it in every optimiser of a training state.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from energax.core import checks


class DampingState(NamedTuple):
    """The factor by which every update is multiplied; 1 until something goes wrong."""

    factor: Float[Array, ""]


def damping() -> optax.GradientTransformation:
    """Multiplies updates by the factor of its state: the last link of `optax.chain`."""

    def init(params: Any) -> DampingState:
        del params
        return DampingState(jnp.ones((), jnp.float32))

    def update(updates: Any, state: DampingState, params: Any = None) -> tuple[Any, DampingState]:
        del params
        return jax.tree.map(lambda u: u * state.factor.astype(u.dtype), updates), state

    return optax.GradientTransformation(init, update)


def brake(optimizers: Any, factor: float) -> Any:
    """Every `DampingState` inside `optimizers` with its factor multiplied by `factor`.

    Args:
        optimizers: Any pytree of optimiser states.
        factor: In (0, 1); 0.5 halves every later update.

    Raises:
        ValueError: `factor` does not lie in (0, 1).
    """
    checks.fraction("brake", "factor", factor)

    def one(node: Any) -> Any:
        return DampingState(node.factor * jnp.asarray(factor, node.factor.dtype)) if _is_damping(node) else node

    return jax.tree.map(one, optimizers, is_leaf=_is_damping)


def _is_damping(node: Any) -> bool:
    return isinstance(node, DampingState)
