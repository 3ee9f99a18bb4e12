"""Quadrature in one and two dimensions: closed forms, its own error, refusals."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import Banana, DoubleWell, Gaussian, quadrature_exact


def test_one_dimension_is_the_double_well():
    found = quadrature_exact(DoubleWell(4.0, 1, 0.5), ((-3.0, 3.0),), observe=lambda x: x[:, 0] ** 3)
    # adaptive quadrature by another program
    np.testing.assert_allclose(found.log_z, 0.05733115353269089, rtol=1e-12)
    np.testing.assert_allclose(found.mean, [-0.4292166557230712], rtol=1e-12)
    np.testing.assert_allclose(found.energy, 0.35419278915438707, rtol=1e-12)
    np.testing.assert_allclose(found.covariance, [[0.9337127412373651 - 0.4292166557230712**2]], rtol=1e-11)
    assert found.change < 1e-12
    right = quadrature_exact(DoubleWell(4.0, 1, 0.5), ((0.0, 3.0),))  # the jump is a side of the box
    np.testing.assert_allclose(math.exp(right.log_z - found.log_z), 0.28243466822279734, rtol=1e-12)


def test_two_dimensions_are_the_full_gaussian():
    factor = np.array([[1.5, 0.0], [-0.5, 0.25]])
    with jax.enable_x64(True):
        gaussian = Gaussian(jnp.array([0.5, -1.0]), jnp.asarray(factor))
        found = quadrature_exact(gaussian, ((-13.0, 14.0), (-6.0, 4.0)), observe=lambda x: x[:, :1] * x)
    covariance = factor @ factor.T
    np.testing.assert_allclose(found.log_z, math.log(2 * math.pi * 1.5 * 0.25), rtol=1e-12)
    np.testing.assert_allclose(found.mean, [0.5, -1.0], rtol=1e-10)
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-10)
    np.testing.assert_allclose(found.observed, covariance[0] + 0.5 * np.array([0.5, -1.0]), rtol=1e-10)
    np.testing.assert_allclose(found.energy, 1.0, rtol=1e-11)


def test_the_change_tells_when_the_rule_is_too_coarse():
    narrow = Gaussian(jnp.zeros(2), jnp.array([0.02, 1.0]))
    coarse = quadrature_exact(narrow, ((-9.0, 8.0),) * 2, points=100)
    exact = math.log(2 * math.pi * 0.02)
    assert abs(coarse.log_z - exact) > 1e-3
    assert coarse.change > 0.3 * abs(coarse.log_z - exact)
    fine = quadrature_exact(narrow, ((-9.0, 8.0),) * 2, points=1500)
    assert abs(fine.log_z - exact) < fine.change < 1e-4


def test_an_infinite_energy_is_a_zero_of_the_density():
    def wall(x):
        return jnp.where(x[0] > 0.0, jnp.sum(x), jnp.inf)

    found = quadrature_exact(wall, ((0.0, 45.0),))
    np.testing.assert_allclose([found.log_z, found.energy], [0.0, 1.0], atol=1e-12)
    both = quadrature_exact(wall, ((-45.0, 45.0),))  # the wall lies on a panel's side
    np.testing.assert_allclose([both.log_z, both.energy], [0.0, 1.0], atol=1e-9)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: quadrature_exact(Banana(), ((0.0, 1.0),) * 3), "box must be one or two pairs"),
        (lambda: quadrature_exact(Banana(), ((1.0, 0.0), (0.0, 1.0))), "with low < high"),
        (lambda: quadrature_exact(Banana(), ((0.0, 1.0),) * 2, points=10), "points must be an integer >= 50"),
        (lambda: quadrature_exact(lambda x: x, ((0.0, 1.0),)), "an energy must map ONE sample to a scalar"),
        (lambda: quadrature_exact(lambda x: jnp.inf + x[0], ((0.0, 1.0),)), "must be finite somewhere in the box"),
        (lambda: jax.jit(lambda b: quadrature_exact(b, ((0.0, 1.0),) * 2).log_z)(Gaussian(jnp.zeros(2), 1.0)), "jit"),
    ],
)
def test_refusals(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
