"""Means of exponentials from their logarithms, with what they are worth.

Source: Kong (1992), A note on importance sampling using standardized weights (the effective sample size);
    Owen (2013), Monte Carlo theory, methods and examples, artowen.su.domains/mc, ch. 2 and 9 (the delta method).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar


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
