"""One number a sample over many samples, in batches of one compiled shape."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from energax.core import AbstractEnergy, checks


def in_batches(
    owner: str, one: Callable, energy: AbstractEnergy, xs: np.ndarray | jax.Array, batch_size: int
) -> np.ndarray:
    """`one(energy, x)` for every row of `xs`, as float64 on the host.

    Args:
        owner: The function that asks.
        one: A function of a module: its programs are kept by what it is.
        energy: Maps one sample to a scalar.
        xs: Samples on axis 0, finite.
        batch_size: Samples in memory at once, >= 1.

    Raises:
        ValueError: `xs` is no stack of finite samples, or the energy is not a scalar.
    """
    checks.samples(owner, "xs", xs)
    checks.count(owner, "batch_size", batch_size)
    shape = jax.eval_shape(lambda x: energy(x), jax.ShapeDtypeStruct(xs.shape[1:], xs.dtype)).shape
    checks.scalar_energy(owner, shape)
    size = min(batch_size, len(xs))
    values = []
    for first in range(0, len(xs), size):
        block = jnp.asarray(xs[first : first + size])
        short = size - len(block)
        # The last block is filled up with its own last row, so that one shape is compiled; the filling is cut off.
        filled = jnp.concatenate([block, jnp.repeat(block[-1:], short, axis=0)]) if short else block
        values.append(np.asarray(_batch(one, energy, filled), np.float64)[: len(block)])
    return np.concatenate(values)


@eqx.filter_jit
def _batch(one: Callable, energy: AbstractEnergy, xs: jax.Array) -> jax.Array:
    return jax.vmap(lambda x: one(energy, x))(xs)
