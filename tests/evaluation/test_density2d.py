"""Grid figures: KL between Gaussians in closed form, exact log Z, masses by mode, kernel density by the naive sum."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm

from energax.core import FunctionEnergy
from energax.evaluation import best_kernel_kl, compare_on_grid, grid_log_z, kernel_log_density, kl_on_grid, make_grid

GRID = make_grid(-8.0, 8.0, 200)


def quadratic(mean, scale, offset=0.0):
    mean, scale = jnp.asarray(mean, jnp.float32), jnp.asarray(scale, jnp.float32)
    return FunctionEnergy(lambda x: offset + 0.5 * jnp.sum(((x - mean) / scale) ** 2))


def gaussian(mean, scale):
    return multivariate_normal(mean, np.diag(np.square(scale))).logpdf


def test_kl_between_gaussians_and_log_z_are_exact():
    mean, scale = np.array([0.5, -0.4]), np.array([0.8, 1.5])
    found = compare_on_grid(quadratic(mean, scale, offset=3.0), gaussian([0.0, 0.0], [1.0, 0.6]), GRID)
    ratio = np.array([1.0, 0.36]) / scale**2
    exact = 0.5 * np.sum(ratio - 1 - np.log(ratio) + (mean / scale) ** 2)
    assert found.kl_true_model == pytest.approx(exact, abs=1e-5)
    assert found.log_z == pytest.approx(math.log(2 * math.pi * 0.8 * 1.5) - 3.0, abs=1e-5)
    assert found.log_z == pytest.approx(grid_log_z(quadratic(mean, scale, offset=3.0), GRID))
    assert found.true_mass == pytest.approx(1.0, abs=1e-9)
    assert found.edge_share < 1e-6
    assert found.energy.shape == found.true_log_density.shape == (200, 200)
    assert found.mode_masses_true == ()
    swapped = compare_on_grid(quadratic([0.0, 0.0], [1.0, 0.6]), gaussian(mean, scale), GRID)
    assert abs(swapped.kl_true_model - exact) > 0.1  # KL is not symmetric: the order is part of the figure


def test_axes_are_first_coordinate_first():
    found = compare_on_grid(
        FunctionEnergy(lambda x: x[0] ** 2 + 10.0 * (x[1] - 1) ** 2), gaussian([0, 0], [1, 1]), GRID
    )
    i, j = np.unravel_index(np.argmin(found.energy), found.energy.shape)
    assert abs(GRID.x[i]) < 0.1
    assert abs(GRID.y[j] - 1.0) < 0.1


def test_mode_masses_of_an_unequal_mixture():
    modes = np.array([[-3.0, 0.0], [2.0, 0.0]])

    def truth(x):
        parts = [math.log(w) + gaussian(m, [1.0, 1.0])(x) for w, m in zip((0.2, 0.8), modes, strict=True)]
        return np.logaddexp(*parts)

    model = FunctionEnergy(lambda x: -jnp.logaddexp(-jnp.sum((x - jnp.array([-3.0, 0.0])) ** 2),
                                                    -jnp.sum((x - jnp.array([2.0, 0.0])) ** 2)))  # fmt: skip
    found = compare_on_grid(model, truth, GRID, modes=modes)
    leak = norm.cdf(-2.5)
    assert found.mode_masses_true == pytest.approx(
        (0.2 * (1 - leak) + 0.8 * leak, 0.8 * (1 - leak) + 0.2 * leak), abs=3e-3
    )
    assert found.mode_masses_model == pytest.approx((0.5, 0.5), abs=2e-3)
    assert sum(found.mode_masses_model) == pytest.approx(1.0)


def test_decode_moves_the_grid_to_the_models_coordinates():
    whitened = compare_on_grid(
        quadratic([0.0, 0.0], [1.0, 1.0]),
        gaussian([1.0, 1.0], [2.0, 0.5]),
        GRID,
        decode=lambda x: (x - 1.0) / [2.0, 0.5],
    )
    assert whitened.kl_true_model == pytest.approx(0.0, abs=1e-5)


def test_truth_with_holes_and_model_with_walls():
    def square(x):
        inside = np.all(np.abs(x) < 2.0, axis=1)
        return np.where(inside, -math.log(16.0), -np.inf)

    flat = compare_on_grid(FunctionEnergy(lambda x: 0.0 * x[0]), square, GRID)
    assert flat.kl_true_model == pytest.approx(math.log(16.0**2 / 16.0), abs=1e-9)
    assert flat.edge_share == pytest.approx(4 * 199 / 200**2)
    walled = FunctionEnergy(lambda x: jnp.where(x[0] > 0, jnp.inf, 0.0))
    assert compare_on_grid(walled, square, GRID).kl_true_model == np.inf


def test_box_too_small_is_told():
    assert compare_on_grid(quadratic([0, 0], [1, 1]), gaussian([0, 0], [1, 1]), make_grid(-1, 1, 100)).true_mass < 0.5


def test_kernel_density_is_the_naive_sum_and_the_best_is_picked():
    rng = np.random.default_rng(0)
    train, small = rng.standard_normal((400, 2)), make_grid(-4.0, 4.0, 60)
    squares = cdist(small.points(), train, "sqeuclidean")
    exact = logsumexp(-squares / 0.18, axis=1).reshape(60, 60) - math.log(400 * 2 * math.pi * 0.09)
    np.testing.assert_allclose(kernel_log_density(train, small, 0.3), exact, rtol=1e-8, atol=1e-8)
    truth = gaussian([0, 0], [1, 1])(small.points()).reshape(60, 60)
    kl, width = best_kernel_kl(train, truth, small, bandwidths=(0.1, 0.3, 0.5, 1.5))
    every = {h: kl_on_grid(truth, kernel_log_density(train, small, h), small.cell) for h in (0.1, 0.3, 0.5, 1.5)}
    assert kl == min(every.values())
    assert every[width] == kl
    assert 0.2 < width < 0.6
    assert kl > 0.0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: make_grid(1.0, 1.0), "above low"),
        (lambda: make_grid(0.0, float("nan")), "above low"),
        (lambda: make_grid(0.0, 1.0, 1), ">= 2"),
        (
            lambda: compare_on_grid(
                FunctionEnergy(lambda x: jnp.log(-1.0 - x[0] ** 2)), gaussian([0, 0], [1, 1]), GRID
            ),
            "NaN",
        ),
        (lambda: compare_on_grid(quadratic([0, 0], [1, 1]), lambda x: np.full(len(x), -np.inf), GRID), "somewhere"),
        (lambda: compare_on_grid(quadratic([0, 0], [1, 1]), lambda x: np.full(len(x), np.nan), GRID), "must be <"),
        (lambda: compare_on_grid(quadratic([0, 0], [1, 1]), lambda x: np.zeros(3), GRID), "must give"),
        (lambda: kernel_log_density(np.ones((3, 2)), GRID, 0.0), "bandwidth must be > 0"),
        (
            lambda: compare_on_grid(quadratic([0, 0], [1, 1]), gaussian([0, 0], [1, 1]), GRID, modes=np.ones((2, 3))),
            "columns",
        ),
        (lambda: compare_on_grid("moons", gaussian([0, 0], [1, 1]), GRID), "energy must map one point"),
        (lambda: compare_on_grid(quadratic([0, 0], [1, 1]), gaussian([0, 0], [1, 1]), 60), "must be a Grid"),
        (lambda: grid_log_z(quadratic([0, 0], [1, 1]), np.zeros((2, 2))), "must be a Grid"),
    ],
)
def test_refuses(call, words):
    with pytest.raises(ValueError, match=words):
        call()
