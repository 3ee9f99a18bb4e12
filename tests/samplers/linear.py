"""The exact law of an unadjusted kernel on a Gaussian: its step is linear in the state and in the noise."""

from collections.abc import Callable

import jax
import numpy as np

PRECISION = np.array([[1.0, 0.6], [0.6, 2.0]])
"""A correlated Gaussian on the plane."""


def well(x: jax.Array) -> jax.Array:
    """Its energy, in the precision of x."""
    return 0.5 * x @ (jax.numpy.asarray(PRECISION, x.dtype) @ x)


def stationary(step: Callable, draw: Callable, size: int, num_draws: int = 12) -> np.ndarray:
    """The covariance S = M S M' + N N' of z' = M z + N xi, in float64.

    Args:
        step: (key, z [size]) -> z' [size], linear in z and in the noise of the key.
        draw: key -> the noise xi that the step draws from it.
        size: Numbers in z.
        num_draws: Keys from which N is read off; more than xi has numbers.
    """
    keys = jax.random.split(jax.random.key(3), num_draws)
    with jax.enable_x64(True):
        offsets = np.array([step(key, np.zeros(size)) for key in keys])
        moved = np.stack([step(keys[0], row) for row in np.eye(size)], axis=1) - offsets[0][:, None]
        draws = np.array([draw(key) for key in keys])
    assert np.linalg.matrix_rank(draws) == draws.shape[1]
    weights, *_ = np.linalg.lstsq(draws, offsets)
    np.testing.assert_allclose(draws @ weights, offsets, atol=1e-12)  # linear in this noise, and in no other
    assert np.abs(np.linalg.eigvals(moved)).max() < 1.0
    solved = np.linalg.solve(np.eye(size**2) - np.kron(moved, moved), (weights.T @ weights).ravel())
    return solved.reshape(size, size)
