"""Refusals at the door: those of `energax.checks`, and the two that need jax."""

from typing import Any

import jax

from energax.checks import (
    array as array,
    count as count,
    finite as finite,
    fraction as fraction,
    labels as labels,
    non_negative as non_negative,
    on_host as on_host,
    positive as positive,
    samples as samples,
)


def scalar_energy(owner: str, shape: tuple[int, ...]) -> None:
    """Raises ValueError unless an energy of one sample returned a scalar."""
    if shape != ():
        raise ValueError(
            f"{owner}: an energy must map ONE sample to a scalar (shape ()); got shape {shape}. "
            "Sum over the axes of the sample; vmap is applied for you."
        )


def typed_key(owner: str, key: Any) -> None:
    """Raises ValueError unless `key` is one typed key of `jax.random.key`."""
    dtype = getattr(key, "dtype", None)
    if dtype is None or not jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key) or key.shape != ():
        got = type(key).__name__ if dtype is None else f"{dtype} of shape {key.shape}"
        raise ValueError(f"{owner}: key must be one typed key, as jax.random.key(0) makes it; got {got}.")
