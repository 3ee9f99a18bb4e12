"""Frechet distance: closed forms, invariances, and the classifier's features on real digits."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from sklearn.datasets import load_digits

from energax.evaluation import classifier_frechet, fit_classifier_features, frechet_between_gaussians, frechet_distance
from judges import reach


def spd(seed, dim=5):
    root = np.random.default_rng(seed).standard_normal((dim, dim))
    return root @ root.T + 0.1 * np.eye(dim)


def test_commuting_gaussians_have_the_closed_form():
    a, b = np.array([1.0, 4.0, 9.0]), np.array([4.0, 1.0, 0.0])
    got = frechet_between_gaussians(np.array([0.0, 1, 2]), np.diag(a), np.array([1.0, 1, 0]), np.diag(b))
    assert got == pytest.approx(5.0 + np.sum((np.sqrt(a) - np.sqrt(b)) ** 2), rel=1e-10)


def test_general_gaussians_agree_with_scipys_matrix_root():
    a, b, shift = spd(0), spd(1), np.arange(5.0)
    expected = np.sum(shift**2) + np.trace(a + b - 2 * np.real(sqrtm(a @ b)))
    got = frechet_between_gaussians(shift, a, np.zeros(5), b)
    assert got == pytest.approx(expected, rel=1e-8)
    assert frechet_between_gaussians(np.zeros(5), b, shift, a) == pytest.approx(got, rel=1e-8)
    assert frechet_between_gaussians(shift, a, shift, a) == pytest.approx(0.0, abs=1e-8)
    forgotten = np.sum(shift**2) + np.trace(a + b - 2 * np.sqrt(a) @ np.sqrt(b)) if np.all(a > 0) else None
    assert forgotten is None or abs(forgotten - expected) > 0.1


def test_distance_of_samples_uses_unbiased_moments():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((200, 4)), 1.0 + 2.0 * rng.standard_normal((300, 4))
    exact = frechet_between_gaussians(x.mean(0), np.cov(x.T), y.mean(0), np.cov(y.T))
    assert frechet_distance(x, y) == pytest.approx(exact)
    assert frechet_distance(x[:, :1], y[:, :1]) == pytest.approx(
        (x[:, 0].mean() - y[:, 0].mean()) ** 2 + (x[:, 0].std(ddof=1) - y[:, 0].std(ddof=1)) ** 2
    )


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x = x[order] / 8 - 1 + 0.2 * np.random.default_rng(1).standard_normal(x.shape)
    y = y[order]
    features = fit_classifier_features(x[:1437], y[:1437], max_epochs=60)
    return x, y, features


def test_features_are_the_relu_units_of_a_classifier_that_works(digits):
    x, y, features = digits
    assert features(x[:7]).shape == (7, 24)
    assert np.all(features(x) >= 0)
    assert features.accuracy(x[1437:], y[1437:]) > 0.9
    hidden = features.network
    by_hand = (features(x[:50]) @ hidden.coefs_[1] + hidden.intercepts_[1]).argmax(axis=1)
    np.testing.assert_array_equal(hidden.classes_[by_hand], features.classes(x[:50]))


def test_classifier_frechet_on_digits_ranks_known_models(digits):
    x, _, features = digits
    train, test = x[:1437], x[1437:]
    rng = np.random.default_rng(2)
    gaussian = rng.multivariate_normal(train.mean(0), np.cov(train.T), 360)
    again = train[:360]
    noise = rng.uniform(-1, 1, (360, 64))
    at_floor = classifier_frechet(features, again, train, test)
    fitted = classifier_frechet(features, gaussian, train, test)
    far = classifier_frechet(features, noise, train, test)
    assert abs(at_floor.value - at_floor.floor) < reach() * np.hypot(at_floor.se, at_floor.floor_se)
    assert fitted.value > 1.5 * fitted.floor
    assert far.value > 20 * far.floor


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: frechet_between_gaussians(np.zeros(2), np.eye(3), np.zeros(2), np.eye(2)), "covariances"),
        (lambda: frechet_between_gaussians(np.zeros(2), np.full((2, 2), np.nan), np.zeros(2), np.eye(2)), "cov_a"),
        (lambda: fit_classifier_features(np.ones((4, 2)), np.zeros(4, int)), "2 classes"),
        (lambda: fit_classifier_features(np.ones((4, 2)), np.zeros(3, int)), "4 integer classes"),
        (lambda: fit_classifier_features(np.full((4, 2), np.inf), np.arange(4)), "must be finite"),
    ],
)
def test_refuses(call, words):
    with pytest.raises(ValueError, match=words):
        call()
