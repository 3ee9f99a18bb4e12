"""Grids end where they say and rise."""

import jax.numpy as jnp
import numpy as np
import pytest

from energax.numerics import geometric, linear, power, sigmoid


@pytest.mark.parametrize("grid", [linear(9), power(9), power(9, 5.0), sigmoid(9), sigmoid(9, 0.01)])
def test_grids_rise_from_0_to_1(grid):
    assert float(grid[0]) == 0.0
    assert float(grid[-1]) == 1.0
    assert bool(jnp.all(jnp.diff(grid) > 0))


def test_shapes():
    np.testing.assert_allclose(sigmoid(9, 0.01), linear(9), atol=1e-4)
    assert float(power(3, 2.0)[1]) == 0.25
    assert float(sigmoid(5)[1]) < 0.25
    levels = geometric(0.01, 1.0, 5)
    np.testing.assert_allclose(levels[1:] / levels[:-1], 10**0.5, rtol=1e-5)
    assert float(geometric(1.0, 0.01, 3)[-1]) == np.float32(0.01)


def test_refusals():
    for call, message in (
        (lambda: linear(1), "linear.num must be an integer >= 2; got 1"),
        (lambda: power(5, 0.0), "power.exponent must be > 0"),
        (lambda: sigmoid(5, -1.0), "sigmoid.steepness must be > 0"),
        (lambda: geometric(0.0, 1.0, 5), "geometric.first must be > 0"),
        (lambda: geometric(1.0, float("inf"), 5), "geometric.last must be > 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
