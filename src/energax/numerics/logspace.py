"""Means of exponentials from their logarithms, with what they are worth.

Source: Kong (1992), A note on importance sampling using standardized weights (the effective sample size);
    Owen (2013), Monte Carlo theory, methods and examples, artowen.su.domains/mc, ch. 2 and 9 (the delta method).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Scalar

HEAVY_TAIL = 0.7
"""Index beyond which a mean of weights is not to be believed."""


class LogMean(NamedTuple):
    """log of a mean, and its standard error [nats]."""

    estimate: Scalar
    std_error: Scalar


def log_mean_exp(a: Float[Array, " n"]) -> Scalar:
    """log((1/n) sum_i exp(a_i)), without overflow.

    Example:
        >>> float(log_mean_exp(jnp.array([1000.0, 1000.0])))
        1000.0
    """
    return jax.nn.logsumexp(a) - jnp.log(jnp.asarray(a.shape[0], a.dtype))


def effective_sample_size(log_weights: Float[Array, " n"]) -> Scalar:
    """(sum w)^2 / sum w^2: how many equal weights would be worth as much, in [1, n].

    Example:
        >>> float(effective_sample_size(jnp.zeros(5)))
        5.0
    """
    return jnp.exp(2.0 * jax.nn.logsumexp(log_weights) - jax.nn.logsumexp(2.0 * log_weights))


def log_mean_exp_error(log_weights: Float[Array, " n"]) -> LogMean:
    """`log_mean_exp` with the delta method's standard error: the relative error of the mean weight.

    The error is blind to weights that never showed up: below an effective sample size of some tens it is too small.

    Example:
        >>> estimate, error = log_mean_exp_error(jnp.log(jnp.array([1.0, 3.0])))
        >>> round(float(estimate), 4), round(float(error), 4)
        (0.6931, 0.5)
    """
    n = log_weights.shape[0]
    estimate = log_mean_exp(log_weights)
    relative = jnp.exp(log_weights - estimate)
    return LogMean(estimate, jnp.sqrt(jnp.sum((relative - 1.0) ** 2) / jnp.asarray(n * max(n - 1, 1), relative.dtype)))


def tail_index(log_weights: Float[Array, " n"]) -> Scalar:
    """Shape k of a generalised Pareto law fitted to the largest weights: moments of order 1 / k and above are infinite.

    Beyond 0.5 the mean weight has no finite variance; beyond 0.7 (`HEAVY_TAIL`) neither it nor its error bar is to be
    believed, whatever the effective sample size. The fit is to min(n / 5, 3 sqrt(n)) weights, at least five: NaN of
    fewer than 25 weights or of one that is not a number, 0 where the largest are equal.

    Source: Vehtari, Simpson, Gelman, Yao and Gabry (2024), Pareto smoothed importance sampling, arXiv:1507.02646,
    section 2; fit: Zhang and Stephens (2009), doi:10.1198/tech.2009.08017.

    Example:
        >>> u = (jnp.arange(2000.0) + 0.5) / 2000.0
        >>> round(float(tail_index(-0.6 * jnp.log(u))), 1)  # Pareto weights u^-0.6
        0.6
    """
    n = log_weights.shape[0]
    most = min(n // 5, int(3.0 * np.sqrt(n)))
    if most < 5:
        return jnp.full((), jnp.nan, log_weights.dtype)
    ordered = jnp.sort(log_weights)
    above = jnp.exp(ordered[-most:] - ordered[-1]) - jnp.exp(ordered[-most - 1] - ordered[-1])
    quarter, largest = above[int(most / 4 + 0.5) - 1], above[-1]
    quarter = jnp.where(quarter > 0.0, quarter, largest)
    # the profile likelihood of b = -k / sigma on a grid, and its mean under a weak prior
    grid = jnp.arange(1, 31 + int(np.sqrt(most)), dtype=above.dtype) - 0.5
    b = 1.0 / largest + (1.0 - jnp.sqrt(jnp.asarray(grid.shape[0], above.dtype) / grid)) / (3.0 * quarter)
    shape = jax.vmap(lambda b: jnp.mean(jnp.log1p(-b * above)))(b)
    log_like = most * (jnp.log(-b / shape) - shape - 1.0)
    mean_b = jnp.sum(jax.nn.softmax(log_like) * b)
    k = (most * jnp.mean(jnp.log1p(-mean_b * above)) + 5.0) / (most + 10.0)
    return jnp.where(largest == 0.0, jnp.zeros_like(k), k)
