"""Log-space means against the plain formulas, and the error bar against repeats."""

import jax
import jax.numpy as jnp
import numpy as np

from energax.numerics import effective_sample_size, log_mean_exp, log_mean_exp_error


def test_equal_to_the_plain_formulas_and_safe_from_overflow():
    log_weights = jnp.array([0.3, -1.0, 2.0, 0.0])
    w = np.exp(np.asarray(log_weights, np.float64))
    np.testing.assert_allclose(log_mean_exp(log_weights), np.log(w.mean()), rtol=1e-6)
    np.testing.assert_allclose(log_mean_exp(log_weights + 5000.0), np.log(w.mean()) + 5000.0, rtol=1e-6)
    np.testing.assert_allclose(effective_sample_size(log_weights), w.sum() ** 2 / (w**2).sum(), rtol=1e-5)
    np.testing.assert_allclose(effective_sample_size(log_weights - 5000.0), w.sum() ** 2 / (w**2).sum(), rtol=1e-2)


def test_dead_weights_count_for_nothing():
    log_weights = jnp.array([0.0, 0.0, -jnp.inf])
    np.testing.assert_allclose(log_mean_exp(log_weights), np.log(2 / 3), rtol=1e-6)
    np.testing.assert_allclose(effective_sample_size(log_weights), 2.0, rtol=1e-6)


def test_the_error_bar_is_the_scatter_of_repeats():
    """Log-normal weights of mean 1: over 400 repeats, estimate / error has standard deviation 1 within 4 sigma."""
    log_weights = jax.random.normal(jax.random.key(0), (400, 2000)) * 0.5 - 0.125
    estimate, error = jax.vmap(log_mean_exp_error)(log_weights)
    scores = np.asarray(estimate / error)
    assert abs(scores.mean()) < 4 / np.sqrt(400)
    assert abs(scores.std() - 1.0) < 4 / np.sqrt(800)
