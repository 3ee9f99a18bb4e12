"""Random keys by chain and by step, and the noise that samplers draw from them."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray


def chain_keys(key: PRNGKeyArray, num: int) -> PRNGKeyArray:
    """One key a chain; chain i's key depends on (key, i) only, never on `num` or on where the chain lives.

    Args:
        key: One typed key; it is used up.
        num: How many chains, >= 1.
    """
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(num))


def step_key(key: PRNGKeyArray, step: Any) -> PRNGKeyArray:
    """The key of one chain's step: a function of (chain's key, step) only."""
    return jax.random.fold_in(key, step)


def standard_normal(key: PRNGKeyArray, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """Independent N(0, 1) numbers."""
    return jax.random.normal(key, shape, dtype)


def uniform(key: PRNGKeyArray, dtype: Any = jnp.float32) -> Array:
    """One number uniform on [0, 1): `uniform(key) < p` holds with probability p, never for p = 0."""
    return jax.random.uniform(key, (), dtype)
