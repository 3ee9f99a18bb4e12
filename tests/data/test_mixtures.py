"""The unequal mixture: exact density, masses and samples."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import multivariate_normal

from energax.data import UnequalMixture
from judges import reach


def test_density_is_the_textbook_form():
    mixture = UnequalMixture(dim=3, masses=(0.2, 0.5, 0.3), positions=(-2.0, 0.5, 1.0))
    x = np.random.default_rng(0).normal(size=(50, 3)) * 2.0
    parts = [m * multivariate_normal(c, np.eye(3)).pdf(x) for m, c in zip(mixture.masses, mixture.modes, strict=True)]
    np.testing.assert_allclose(mixture.log_prob(x), np.log(np.sum(parts, axis=0)), rtol=1e-12)


def test_density_of_one_axis_integrates_to_one():
    line = UnequalMixture(dim=1)
    total, _ = quad(lambda a: np.exp(line.log_prob(np.array([[a]]))[0]), -20, 16, points=[-10, 6])
    assert abs(total - 1.0) < 1e-8


def test_samples_have_masses_means_and_unit_variance():
    mixture = UnequalMixture()
    x = mixture.sample(np.random.default_rng(1), 20_000)
    assert x.shape == (20_000, 50)
    assert x.dtype == np.float32
    masses = mixture.mode_masses(x)
    assert abs(masses[0] - 0.25) < reach() * np.sqrt(0.25 * 0.75 / len(x))
    assert masses.sum() == pytest.approx(1.0)
    right = x[x[:, 0] > -2].astype(np.float64)
    assert np.abs(right.mean(axis=0) - mixture.modes[1]).max() < 4.5 / np.sqrt(len(right))
    assert np.abs(right.var(axis=0) - 1.0).max() < reach() * np.sqrt(2 / len(right))


def test_samples_come_in_random_order():
    low = (UnequalMixture(dim=2).sample(np.random.default_rng(2), 4000)[:, 0] < -2).astype(float)
    z = (low - low.mean()) / low.std()
    assert abs(np.mean(z[1:] * z[:-1])) * np.sqrt(len(z)) < reach()


def test_far_points_do_not_underflow():
    assert np.isfinite(UnequalMixture(dim=2).log_prob(np.array([[1e4, -1e4]]))[0])


BAD = {
    "dim": {"dim": 0},
    "masses off": {"masses": (0.3, 0.3)},
    "negative mass": {"masses": (1.5, -0.5)},
    "lengths": {"masses": (1.0,)},
    "nan": {"positions": (0.0, float("nan"))},
    "text": {"positions": ("a", "b")},
    "none": {"masses": (), "positions": ()},
}


@pytest.mark.parametrize("options", BAD.values(), ids=BAD)
def test_refuses(options):
    with pytest.raises(ValueError, match="got"):
        UnequalMixture(**options)


def test_refuses_points_of_another_dimension():
    with pytest.raises(ValueError, match=r"shape \[n, 50\]"):
        UnequalMixture().log_prob(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="at least one sample"):
        UnequalMixture(dim=2).mode_masses(np.zeros((0, 2)))
