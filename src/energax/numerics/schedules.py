"""Grids of inverse temperatures in [0, 1] and of noise levels."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax import checks


def linear(num: int) -> Float[Array, " num"]:
    """`num` evenly spaced numbers from 0 to 1, both included.

    Raises:
        ValueError: `num` is not an integer >= 2.

    Example:
        >>> linear(3).tolist()
        [0.0, 0.5, 1.0]
    """
    checks.count("linear", "num", num, least=2)
    return jnp.linspace(0.0, 1.0, num)


def power(num: int, exponent: float = 2.0) -> Float[Array, " num"]:
    """Numbers from 0 to 1 that crowd at 0 for `exponent` > 1: where a path leaves a broad base.

    Raises:
        ValueError: `num` is not an integer >= 2, or `exponent` not positive.
    """
    checks.positive("power", "exponent", exponent)
    return linear(num) ** exponent


def sigmoid(num: int, steepness: float = 4.0) -> Float[Array, " num"]:
    """Numbers from 0 to 1 that crowd at both ends, the more the steeper (steepness -> 0 is linear).

    Source: Grosse et al. (2015), Sandwiching the marginal likelihood, arXiv:1511.02543, sec. 5.1.

    Raises:
        ValueError: `num` is not an integer >= 2, or `steepness` not positive.
    """
    checks.positive("sigmoid", "steepness", steepness)
    raw = jax.nn.sigmoid(steepness * (2.0 * linear(num) - 1.0))
    grid = (raw - raw[0]) / (raw[-1] - raw[0])
    return grid.at[0].set(0.0).at[-1].set(1.0)


def geometric(first: float, last: float, num: int) -> Float[Array, " num"]:
    """`num` numbers of constant ratio from `first` to `last`, both included: noise levels, coarse to fine.

    Raises:
        ValueError: an end is not positive, or `num` not an integer >= 2.

    Example:
        >>> geometric(1.0, 100.0, 3).tolist()
        [1.0, 10.0, 100.0]
    """
    checks.positive("geometric", "first", first)
    checks.positive("geometric", "last", last)
    checks.count("geometric", "num", num, least=2)
    ratio = linear(num)
    grid = jnp.exp((1.0 - ratio) * jnp.log(jnp.float32(first)) + ratio * jnp.log(jnp.float32(last)))
    return grid.at[0].set(first).at[-1].set(last)
