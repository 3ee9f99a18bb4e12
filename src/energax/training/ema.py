"""The averaged model: less noisy than the last one, and what is evaluated.

Source: Polyak and Juditsky (1992), doi:10.1137/0330046, for averaging; the exponential form and its use for EBMs:
    Du and Mordatch (2019), arXiv:1903.08689, appendix A.
What differs: the decay starts at 0.1 and rises as (1 + step) / (10 + step) to its given value, so that the first steps'
    parameters are forgotten in a short run too.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array


def averaged(ema: Any, model: Any, decay: float, step: Array, take: Array | bool = True) -> Any:
    """d * ema + (1 - d) * model with d = min(decay, (1 + step) / (10 + step)), for arrays of floats.

    Args:
        ema: The average so far.
        model: The new parameters, same structure.
        decay: In [0, 1); 0 makes the average equal to the model.
        step: Steps done before this one.
        take: Where false the average stays exactly as it is (a rejected step).

    Returns:
        The new average. A leaf that equals the model's stays exactly equal to it; other leaves are the model's.
    """
    count = step.astype(jnp.float32)
    weight = jnp.minimum(jnp.float32(decay), (1.0 + count) / (10.0 + count))

    def one(old: Any, new: Any) -> Any:
        if old is new or not eqx.is_inexact_array(old):
            return new
        w = weight.astype(old.dtype)
        # the convex form never overflows; its rounding would make parts that rest drift, hence the comparison
        return jnp.where(take, jnp.where(old == new, new, w * old + (1.0 - w) * new), old)

    return jax.tree.map(one, ema, model)
