"""The phi^4 chain: reference values of another program, direct quadrature of two sites, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import Phi4Chain, phi4_exact, quadrature_exact
from judges import refuses

REFERENCE = {
    (2, 1.0, 1.0): (0.5968308421440056, 0.7607358729268808, {1: 0.5845847160370394}, 0.6726602944819602),
    (16, 1.0, 1.0): (2.7338137368526936, 0.6695634730457899, {4: 0.051960056638139684}, 0.1349710633052256),
    (16, 2.0, 2.0): (-6.300282234952754, 0.7915846690995931, {4: 0.4119237408742411}, 0.4575166373129349),
    (64, 2.0, 2.0): (-25.377385325211907, 0.7843105105754112, {4: 0.355097118009686}, 0.1249464151112575),
}


@pytest.mark.parametrize("setting", REFERENCE, ids=str)
def test_reference(setting):
    log_z, square, correlations, magnetisation_square = REFERENCE[setting]
    exact = phi4_exact(Phi4Chain(*setting))
    np.testing.assert_allclose(exact.log_z, log_z, rtol=1e-9)
    np.testing.assert_allclose(exact.correlation[0], square, rtol=1e-9)
    np.testing.assert_allclose(exact.magnetisation_square, magnetisation_square, rtol=1e-9)
    for distance, value in correlations.items():
        np.testing.assert_allclose(exact.correlation[distance], value, rtol=1e-9)
    np.testing.assert_allclose(exact.correlation[1:], exact.correlation[:0:-1], rtol=1e-9)  # a ring


def judge(energy):
    """Two sites by quadrature of the energy in the plane."""
    found, exact = quadrature_exact(energy, ((-4.0, 4.0),) * 2), phi4_exact(Phi4Chain(2, 1.3, 0.7))
    np.testing.assert_allclose(found.log_z, exact.log_z, atol=1e-9)
    np.testing.assert_allclose(found.covariance[0], exact.correlation, rtol=1e-9)


def test_two_sites_are_the_quadrature():
    judge(Phi4Chain(2, 1.3, 0.7))


@pytest.mark.parametrize("energy", [Phi4Chain(2, 0.65, 0.7), Phi4Chain(2, 1.3, 1.4)], ids=["open", "two wells"])
def test_the_judge_catches(energy):
    with pytest.raises(AssertionError):
        judge(energy)


def test_energy_is_the_textbook_sum():
    x = np.random.default_rng(0).normal(size=7)
    value = sum(0.5 * 1.7 * (x[(i + 1) % 7] - x[i]) ** 2 + 0.9 * (x[i] ** 2 - 1) ** 2 for i in range(7))
    np.testing.assert_allclose(Phi4Chain(7, 1.7, 0.9)(jnp.asarray(x, jnp.float32)), value, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Phi4Chain(1), "sites must be an integer >= 2"),
        (lambda: Phi4Chain(4, -1.0), "coupling must be >= 0"),
        (lambda: Phi4Chain(4, 1.0, 0.0), "depth must be > 0"),
        (lambda: Phi4Chain(4)(jnp.zeros(5)), r"x must be ONE sample of shape \(4,\)"),
        (lambda: Phi4Chain(4, jnp.ones(3)), r"Phi4Chain.coupling must be one number; got shape \(3,\)"),
        (lambda: phi4_exact(3.0), "phi4_exact.energy must be a Phi4Chain; got float"),
        (lambda: phi4_exact(Phi4Chain(4), 0), "panels must be an integer >= 1"),
        (lambda: jax.jit(lambda c: phi4_exact(Phi4Chain(4, c)).log_z)(1.0), "outside jit"),
    ],
)
def test_refusals(make, sentence):
    with refuses(sentence):
        make()
