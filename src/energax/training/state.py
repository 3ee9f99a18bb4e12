"""All that a run is: one pytree that is saved, sharded, scanned and resumed as a whole."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from energax.core import Key


class TrainState(eqx.Module):
    """What the next step needs and nothing else: two runs with equal states go on bit for bit alike.

    Attributes:
        model: The players' parameters, as they are.
        ema: The same structure, averaged over steps; what evaluation and reports read.
        optimizers: One optimiser state a phase.
        objectives: One objective state a phase: chains, buffers, adapted step sizes.
        key: The run's one random key; step k draws from fold_in(key, k) and never changes it.
        step: Steps done, rejected ones included.
    """

    model: Any
    ema: Any
    optimizers: tuple[Any, ...]
    objectives: tuple[Any, ...]
    key: Key
    step: Int[Array, ""]


def settle(tree: Any) -> Any:
    """Fresh copies of every array under a dtype of its own (no weak types), so that a step compiles once.

    A copy also keeps two parts of a state from sharing one buffer, which could not be donated twice.
    """
    return jax.tree.map(_settled, tree)


def select(take: Array, new: Any, old: Any) -> Any:
    """`new` if `take` else `old`, array by array; what did not change is passed through untouched."""

    def one(a: Any, b: Any) -> Any:
        return a if a is b or not eqx.is_array(a) else jnp.where(take, a, b)

    return jax.tree.map(one, new, old)


def _settled(leaf: Any) -> Any:
    if not eqx.is_array(leaf):
        return leaf
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(jnp.array(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
    return jnp.array(leaf, dtype=leaf.dtype)
