"""The mean of a per-sample loss, its gradient gathered chunk by chunk so that a chunk's intermediates stay in cache.

For networks whose intermediates are large (images): on a CPU with 1 to 2 MB of cache a core, the gradient of the 28x28
convolutional energy takes 0.6 to 0.7 of the time in chunks of 8. Of no use for small dense networks, nor on a GPU.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree, Scalar

from energax import checks


def mean_in_chunks(
    loss: Callable[[Any, Any], tuple[Scalar, PyTree]], model: Any, rows: PyTree, chunk: int | None
) -> tuple[Scalar, PyTree]:
    """(mean loss, mean of what is reported beside it) over rows; the same numbers as a vmap and a mean, to round-off.

    Differentiable in `model` alone, in reverse mode: the gradient is taken inside the forward pass, a chunk at a time.
    No gradient flows into `rows`, nor through what is reported.

    Args:
        loss: (model, one row) -> (scalar, pytree of scalars to report).
        model: A pytree; its floating arrays have a gradient.
        rows: A pytree whose leaves share axis 0: samples, noise, keys.
        chunk: Rows at a time, >= 1; what is left over is one smaller chunk. None takes all at once, by vmap and mean.

    Raises:
        ValueError: `chunk` is not a positive integer.

    Example:
        >>> value, _ = mean_in_chunks(lambda m, x: (m * x, ()), jnp.array(2.0), jnp.arange(5.0), 2)
        >>> float(value)
        4.0
    """
    if chunk is None:
        return jax.tree.map(lambda a: jnp.mean(a, axis=0), jax.vmap(lambda row: loss(model, row))(rows))
    checks.count("mean_in_chunks", "chunk", chunk)
    moving, rest = eqx.partition(model, eqx.is_inexact_array)
    arrays, static = eqx.partition((rest, rows), eqx.is_array)
    num = len(jax.tree.leaves(rows)[0])

    def total(moving: Any, rest: Any, part: Any) -> tuple[Scalar, PyTree]:
        values, reported = jax.vmap(lambda row: loss(eqx.combine(moving, rest), row))(part)
        return jnp.sum(values), jax.tree.map(lambda a: jnp.sum(a, axis=0), reported)

    def over_chunks(function: Callable[[Any], Any], rows: Any) -> Any:
        """The sum of function(part) over parts, divided by the number of rows."""
        whole = num - num % chunk
        sums = function(jax.tree.map(lambda a: a[whole:], rows)) if num % chunk else None
        if whole:
            parts = jax.tree.map(lambda a: a[:whole].reshape(whole // chunk, chunk, *a.shape[1:]), rows)
            zero = jax.eval_shape(function, jax.tree.map(lambda a: a[0], parts))
            start = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), zero) if sums is None else sums
            sums = jax.lax.scan(lambda sums, part: (jax.tree.map(jnp.add, sums, function(part)), None), start, parts)[0]
        return jax.tree.map(lambda a: a / num, sums)

    @jax.custom_vjp
    def mean(moving: Any, arrays: Any) -> tuple[Scalar, PyTree]:
        rest, rows = eqx.combine(arrays, static)
        return over_chunks(lambda part: total(moving, rest, part), rows)

    def forward(moving: Any, arrays: Any) -> tuple[tuple[Scalar, PyTree], Any]:
        rest, rows = eqx.combine(arrays, static)
        return over_chunks(lambda part: jax.value_and_grad(total, has_aux=True)(moving, rest, part), rows)

    def backward(gradient: Any, cotangents: tuple[Scalar, PyTree]) -> tuple[Any, None]:
        return jax.tree.map(lambda g: cotangents[0] * g, gradient), None

    mean.defvjp(forward, backward)
    return mean(moving, arrays)
