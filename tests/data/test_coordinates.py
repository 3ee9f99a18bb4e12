"""Affine coordinates: inverses, Jacobians, whitening."""

import numpy as np
import pytest

from energax.data import Affine, fit_whitening
from energax.errors import DataError

RNG = np.random.default_rng(0)
MIX = np.array([[1.0, 0.0, 0.0], [0.8, 0.5, 0.0], [-0.3, 0.2, 3.0]])
X = RNG.normal(size=(500, 3)) @ MIX.T + np.array([1.0, -2.0, 30.0])
KINDS = ("full", "diagonal", "none")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_inverse_undoes_forward(kind, dtype, tolerance):
    coordinates = fit_whitening(X, 0.1, kind)
    x = X.astype(dtype)
    z = coordinates.forward(x)
    assert z.dtype == dtype
    np.testing.assert_allclose(coordinates.inverse(z), x, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(coordinates.forward(x[0]), z[0], rtol=1e-12)
    np.testing.assert_allclose(coordinates.forward(x.reshape(5, 100, 3)).reshape(-1, 3), z, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_log_det_is_that_of_the_map(kind):
    coordinates = fit_whitening(X, 0.1, kind)
    jacobian = coordinates.inverse(np.eye(3)) - coordinates.inverse(np.zeros((1, 3)))
    sign, log_det = np.linalg.slogdet(jacobian)
    assert sign == 1.0
    assert coordinates.log_det == pytest.approx(log_det, abs=1e-12)


def test_full_whitening_gives_unit_covariance():
    z = fit_whitening(X, 0.0).forward(X)
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(np.cov(z.T, bias=True), np.eye(3), atol=1e-12)


def test_noise_is_counted():
    """Covariance of x + noise e in z is the identity, so that of x alone is I - noise^2 (L^T L)^-1 in that frame."""
    coordinates = fit_whitening(X, 0.7)
    inverse = np.linalg.inv(coordinates.factor)
    z = coordinates.forward(X)
    np.testing.assert_allclose(np.cov(z.T, bias=True) + 0.49 * inverse @ inverse.T, np.eye(3), atol=1e-12)


def test_diagonal_whitening_gives_unit_variances():
    coordinates = fit_whitening(X, 0.0, "diagonal")
    assert coordinates.factor.shape == (3,)
    np.testing.assert_allclose(coordinates.forward(X).std(axis=0), 1.0, atol=1e-12)


def test_none_is_the_identity():
    coordinates = fit_whitening(X, 0.3, "none")
    np.testing.assert_array_equal(coordinates.forward(X), X)
    assert coordinates.log_det == 0.0


def test_images_are_flattened():
    assert fit_whitening(RNG.normal(size=(50, 2, 2, 1)), 0.1).dim == 4


def test_integers_become_float64():
    z = Affine(np.zeros(2), np.full(2, 2.0)).forward(np.array([[1, 3]]))
    np.testing.assert_array_equal(z, [[0.5, 1.5]])


BAD = {
    "kind": lambda: fit_whitening(X, 0.0, "zca"),
    "noise negative": lambda: fit_whitening(X, -0.1),
    "noise nan": lambda: fit_whitening(X, float("nan")),
    "noise infinite": lambda: fit_whitening(X, float("inf")),
    "noise a text": lambda: fit_whitening(X, "0.1"),
    "one sample": lambda: fit_whitening(X[:1], 0.1),
    "rank one": lambda: fit_whitening(X[:, 0], 0.1),
    "nan in x": lambda: fit_whitening(np.where(X > 30, np.nan, X), 0.1),
    "objects": lambda: fit_whitening(X.astype(object), 0.1),
    "mean rank": lambda: Affine(np.zeros((2, 1)), np.ones(2)),
    "factor shape": lambda: Affine(np.zeros(2), np.ones(3)),
    "upper triangle": lambda: Affine(np.zeros(2), np.ones((2, 2))),
    "zero scale": lambda: Affine(np.zeros(2), np.array([1.0, 0.0])),
    "nan mean": lambda: Affine(np.array([np.nan, 0.0]), np.ones(2)),
    "other width": lambda: Affine(np.zeros(2), np.ones(2)).forward(np.zeros((3, 4))),
    "text in": lambda: Affine(np.zeros(1), np.ones(1)).inverse(np.array(["a"])),
}


@pytest.mark.parametrize("call", BAD.values(), ids=BAD)
def test_refuses(call):
    with pytest.raises(ValueError, match="got"):
        call()


@pytest.mark.parametrize("kind", ["full", "diagonal"])
def test_a_constant_column_needs_noise(kind):
    x = np.concatenate([X, np.full((500, 1), 0.1)], axis=1)
    with pytest.raises(DataError, match="constant one, 3"):
        fit_whitening(x, 0.0, kind)
    assert np.isfinite(fit_whitening(x, 0.2, kind).log_det)


def test_fewer_samples_than_coordinates_need_noise():
    x = RNG.integers(0, 2, size=(3, 8)).astype(float) + RNG.normal(size=(3, 8))
    with pytest.raises(DataError, match="singular"):
        fit_whitening(np.concatenate([x, x]), 0.0)
