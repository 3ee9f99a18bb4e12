"""Names for the few things that travel between floors."""

from typing import Any, TypeAlias

import equinox as eqx
from jaxtyping import Array, PRNGKeyArray, PyTree, Scalar

X: TypeAlias = PyTree[Array]
"""One sample, never a batch: any pytree of arrays."""

Cond: TypeAlias = PyTree[Array] | None
"""What a density is conditioned on (a label, a time, a noisy parent), or None."""

Key: TypeAlias = PRNGKeyArray
"""One typed JAX random key, as `jax.random.key(seed)` makes it."""

Metrics: TypeAlias = dict[str, Scalar]
"""What a step reports: names to scalars, never decided upon inside the step."""

Batch: TypeAlias = dict[str, PyTree[Array]]
"""Samples stacked on axis 0 of every leaf, by name: `"x"` always, `"y"` when there are labels."""


class Chains(eqx.Module):
    """A stack of per-chain states: axis 0 of every leaf counts chains.

    The type itself is the mark by which `runtime.placement` knows what may be split over devices. Anything
    that holds one entry per chain (sampler states, log-weights, ages) is wrapped in it.
    """

    states: Any
