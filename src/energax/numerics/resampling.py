"""Four ways to draw ancestors in proportion to weights: multinomial, residual, stratified, systematic.

Source: Douc, Cappe and Moulines (2005), Comparison of resampling schemes for particle filtering, arXiv:cs/0507025,
section 2; Liu and Chen (1998), Sequential Monte Carlo methods for dynamic systems, doi:10.1080/01621459.1998.10473765
(residual); Kitagawa (1996), Monte Carlo filter and smoother, doi:10.1080/10618600.1996.10474692 (stratified and
systematic). Every scheme gives particle i on average N w_i offspring, w the normalised weights, so that a mean over the
drawn ancestors estimates the weighted mean without bias; they differ in how far the numbers scatter about that.
What differs: ancestors come back as indices of fixed number, sorted but for the residual scheme's random part; a weight
of 0 is never drawn.
Leaves means of weighted particles unbiased. Cost: one cumulative sum and one binary search, O(N log N).
Fails: weights that are NaN, or all 0, make indices without meaning (look at the weights first); in float32 the
expected numbers are right to about N * 6e-8 of an offspring each, so cast beyond 10^5 particles.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from .random import uniform, uniforms


def multinomial(key: Key[Array, ""], log_weights: Float[Array, " n"]) -> Int[Array, " n"]:
    """N independent draws of an ancestor; offspring i has variance N w_i (1 - w_i).

    Args:
        key: One typed key; it is used up.
        log_weights: Logarithms of the weights, up to a constant [N]; -inf is a weight of 0.

    Returns:
        The ancestor of each of the N new particles, in rising order.

    Example:
        >>> multinomial(jax.random.key(0), jnp.array([-jnp.inf, 0.0, -jnp.inf])).tolist()
        [1, 1, 1]
    """
    num, weights = log_weights.shape[0], _weights(log_weights)
    # the order of independent draws carries nothing: sorted, the search runs through memory once
    return _search(weights, jnp.sort(uniforms(key, (num,)).astype(weights.dtype)))


def residual(key: Key[Array, ""], log_weights: Float[Array, " n"]) -> Int[Array, " n"]:
    """floor(N w_i) sure copies of each particle, the rest multinomial in proportion to what is left over.

    Args:
        key: One typed key; it is used up.
        log_weights: As in `multinomial`.

    Returns:
        As `multinomial`: first the sure copies, then the drawn ones, each in rising order.

    Example:
        >>> residual(jax.random.key(0), jnp.log(jnp.array([0.5, 0.25, 0.25, 0.0]))).tolist()
        [0, 0, 1, 2]
    """
    num, weights = log_weights.shape[0], _weights(log_weights)
    scaled = num * weights
    sure = jnp.floor(scaled)
    slots, heap = jnp.arange(num, dtype=jnp.int32), jnp.cumsum(sure.astype(jnp.int32), dtype=jnp.int32)
    copies = jnp.searchsorted(heap, slots, side="right")
    drawn = _search(scaled - sure, uniforms(key, (num,)).astype(weights.dtype))
    is_sure = slots < heap[-1]
    return jnp.where(is_sure, jnp.minimum(copies, num - 1).astype(jnp.int32), drawn)


def stratified(key: Key[Array, ""], log_weights: Float[Array, " n"]) -> Int[Array, " n"]:
    """One uniform in each N-th of [0, 1): never more scattered than `multinomial`.

    Args:
        key: One typed key; it is used up.
        log_weights: As in `multinomial`.

    Returns:
        As `multinomial`.

    Example:
        >>> stratified(jax.random.key(0), jnp.zeros(4)).tolist()
        [0, 1, 2, 3]
    """
    num, weights = log_weights.shape[0], _weights(log_weights)
    return _search(weights, _comb(uniforms(key, (num,)).astype(weights.dtype), num))


def systematic(key: Key[Array, ""], log_weights: Float[Array, " n"]) -> Int[Array, " n"]:
    """One uniform for all N: offspring i numbers floor(N w_i) or one more. Permuting the particles changes its law.

    Args:
        key: One typed key; it is used up.
        log_weights: As in `multinomial`.

    Returns:
        As `multinomial`.

    Example:
        >>> systematic(jax.random.key(0), jnp.zeros(4)).tolist()
        [0, 1, 2, 3]
    """
    num, weights = log_weights.shape[0], _weights(log_weights)
    return _search(weights, _comb(uniform(key, weights.dtype), num))


SCHEMES = {"multinomial": multinomial, "residual": residual, "stratified": stratified, "systematic": systematic}


def offspring(ancestors: Int[Array, " n"]) -> Int[Array, " n"]:
    """How many times each particle was drawn.

    Example:
        >>> offspring(jnp.array([0, 0, 2])).tolist()
        [2, 0, 1]
    """
    return jnp.zeros(ancestors.shape[0], jnp.int32).at[ancestors].add(1)


def _weights(log_weights: Float[Array, " n"]) -> Float[Array, " n"]:
    """Normalised weights, in float32 at least."""
    wide = log_weights.dtype == jnp.float64
    return jax.nn.softmax(log_weights if wide else log_weights.astype(jnp.float32))


def _comb(offset: Float[Array, "..."], num: int) -> Float[Array, " n"]:
    """(i + offset) / num for i in 0..num - 1: one offset for all teeth, or one for each."""
    return (jnp.arange(num, dtype=offset.dtype) + offset) / num


def _search(weights: Float[Array, " n"], points: Float[Array, " n"]) -> Int[Array, " n"]:
    """The particle whose share of [0, 1) each point falls into."""
    ladder = jnp.cumsum(weights)
    # a point that rounding puts on the top would fall past the last share, or into a last one of width 0
    inside = jnp.minimum(points * ladder[-1], jnp.nextafter(ladder[-1], jnp.zeros_like(ladder[-1])))
    return jnp.searchsorted(ladder, inside, side="right").astype(jnp.int32)
