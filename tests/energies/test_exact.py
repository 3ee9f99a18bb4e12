"""Reference values that were computed elsewhere, and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.mixture import GaussianMixture as Fitted

from energax.energies import (
    Banana,
    DoubleWell,
    Funnel,
    Gaussian,
    GaussianMixture,
    ManyWell,
    Rosenbrock,
    standard_normal,
)
from judges import reach


@pytest.mark.parametrize(
    ("depth", "tilt", "log_z"),
    [(1.0, 0.0, 0.6799262429), (4.0, 0.0, -0.0535718536), (4.0, 0.5, 0.0573311535), (8.0, 0.5, -0.3234271872)],
)
def test_double_well_reference(depth, tilt, log_z):
    # adaptive quadrature in double precision
    np.testing.assert_allclose(DoubleWell(depth, 1, tilt).log_z(), log_z, atol=2e-6)
    np.testing.assert_allclose(DoubleWell(depth, 3, tilt).log_z(), 3 * log_z, atol=6e-6)


def test_double_well_mode_mass_and_energy():
    well = DoubleWell(4.0, 1, 0.5)
    xs = jax.jit(jax.vmap(well.sample))(jax.random.split(jax.random.key(0), 40_000))
    # P(x > 0) = 0.282434668 and E[E] = 0.354192789 by quadrature; 4.5 standard errors
    assert abs(float((xs > 0).mean()) - 0.282434668) < reach() * np.sqrt(0.2824 * 0.7176 / 40_000)
    values = jax.vmap(well)(xs)
    assert abs(float(values.mean()) - 0.354192789) < reach() * float(values.std()) / 200


@pytest.mark.parametrize(("dim", "log_z"), [(2, 10.2934797071), (8, 41.1739188283), (32, 164.6956753132)])
def test_many_well_reference(dim, log_z):
    np.testing.assert_allclose(ManyWell(dim).log_z(), log_z, rtol=1e-6)


def test_many_well_uneven_masses():
    xs = jax.jit(jax.vmap(ManyWell(4).sample))(jax.random.split(jax.random.key(0), 20_000))
    share = np.asarray(xs[:, ::2] > 0).mean()
    assert abs(share - 0.8443070962) < reach() * np.sqrt(0.8443 * 0.1557 / 40_000)


def test_funnel_of_neal():
    funnel = Funnel()
    # at the origin every factor is at its mode: -(10/2) log 2 pi - log 3
    np.testing.assert_allclose(funnel.log_prob(jnp.zeros(10)), -10.287997621, rtol=1e-6)
    xs = np.asarray(jax.jit(jax.vmap(funnel.sample))(jax.random.split(jax.random.key(0), 20_000)))
    share = (np.abs(xs[:, 1]) < 1).mean()
    assert abs(share - 0.6223155434714494) < reach() * np.sqrt(0.6223 * 0.3777 / 20_000)


def test_banana_of_haario():
    banana = Banana()
    np.testing.assert_allclose(banana.log_z(), 4.140462159403391, rtol=1e-6)
    xs = np.asarray(jax.jit(jax.vmap(banana.sample))(jax.random.split(jax.random.key(0), 40_000)))
    np.testing.assert_allclose(xs.var(0), [100.0, 19.0], rtol=0.05)


def test_rosenbrock():
    valley = Rosenbrock()
    np.testing.assert_allclose(valley.log_z(), 1.8378770664093453, rtol=1e-6)
    xs = np.asarray(jax.jit(jax.vmap(valley.sample))(jax.random.split(jax.random.key(0), 40_000)), np.float64)
    exact = [[10.0, 20.0], [20.0, 240.1]]  # and means 1 and 11
    for i, mean in enumerate((1.0, 11.0)):
        assert abs(xs[:, i].mean() - mean) < reach() * xs[:, i].std() / 200
        for j, other in enumerate((1.0, 11.0)):
            product = (xs[:, i] - mean) * (xs[:, j] - other)
            assert abs(product.mean() - exact[i][j]) < reach() * product.std() / 200


def test_full_gaussian_is_the_determinant_and_the_quadratic_form(key):
    root = jax.random.normal(key, (5, 5))
    covariance = np.asarray(root @ root.T + jnp.eye(5), np.float64)
    gaussian = Gaussian(jnp.arange(5.0), jnp.linalg.cholesky(jnp.asarray(covariance, jnp.float32)))
    shift = np.ones(5) - np.arange(5.0)
    np.testing.assert_allclose(gaussian(jnp.ones(5)), 0.5 * shift @ np.linalg.solve(covariance, shift), rtol=1e-5)
    log_z = 0.5 * (5 * np.log(2 * np.pi) + np.linalg.slogdet(covariance)[1])
    np.testing.assert_allclose(gaussian.log_z(), log_z, rtol=1e-5)
    xs = jax.vmap(gaussian.sample)(jax.random.split(key, 20_000))
    np.testing.assert_allclose(np.cov(np.asarray(xs).T), covariance, atol=0.05 * covariance.max())


def test_parameters_of_a_gaussian_can_be_trained(key):
    grads = jax.grad(lambda g: -g.log_prob(jnp.array([1.0, 2.0])))(Gaussian(jnp.zeros(2), 2.0))
    np.testing.assert_allclose(grads.mean, [-0.25, -0.5], rtol=1e-6)


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_mixture_is_sklearns(kind):
    x = np.random.default_rng(0).normal(size=(400, 3)) * [1.0, 2.0, 3.0]
    fitted = Fitted(2, covariance_type=kind, random_state=0).fit(x)
    mixture = GaussianMixture.from_sklearn(fitted)
    ours = jax.jit(jax.vmap(mixture.log_prob))(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(ours, fitted.score_samples(x), atol=2e-5)
    np.testing.assert_allclose(
        jax.vmap(mixture.responsibilities)(jnp.asarray(x[:20], jnp.float32)), fitted.predict_proba(x[:20]), atol=1e-4
    )


def test_mixture_labels_follow_its_weights():
    mixture = GaussianMixture(jnp.log(jnp.array([0.2, 0.8])), jnp.array([[-9.0], [9.0]]), 1.0)
    xs, labels = jax.jit(jax.vmap(mixture.sample_labelled))(jax.random.split(jax.random.key(0), 20_000))
    assert bool(jnp.all((xs[:, 0] > 0) == (labels == 1)))
    assert abs(float(labels.mean()) - 0.8) < reach() * np.sqrt(0.16 / 20_000)


def test_image_shaped_gaussian():
    assert standard_normal((4, 4, 1)).sample(jax.random.key(0)).shape == (4, 4, 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian(jnp.zeros(2), -1.0), "Gaussian.scale must be > 0"),
        (lambda: Gaussian(jnp.zeros(2), jnp.ones(3)), "Gaussian.scale must be a number, an array"),
        (lambda: Gaussian(jnp.array([jnp.nan]), 1.0), "Gaussian.mean must be finite"),
        (lambda: Gaussian(jnp.zeros(2, int), 1.0), "Gaussian.mean must hold floating"),
        (lambda: Gaussian(jnp.zeros(2), jnp.ones((2, 2))), "Gaussian.scale must be lower triangular"),
        (lambda: Gaussian(jnp.zeros(2), -jnp.eye(2)), "Gaussian.scale must have a diagonal > 0"),
        (lambda: standard_normal(0), "standard_normal.shape must be an integer >= 1"),
        (lambda: GaussianMixture(jnp.zeros(3), jnp.zeros((2, 1)), 1.0), r"log_weights must have shape \(2,\)"),
        (lambda: GaussianMixture(jnp.zeros(2), jnp.zeros((2, 1)), 0.0), "GaussianMixture.scales must be > 0"),
        (lambda: GaussianMixture(jnp.zeros(2), jnp.zeros(2), 1.0), "GaussianMixture.means must be floating, of shape"),
        (lambda: GaussianMixture.from_sklearn(Fitted(2)), "must be fitted"),
        (lambda: DoubleWell(-1.0), "DoubleWell.depth must be > 0"),
        (lambda: DoubleWell(1.0, 0), "DoubleWell.dim must be an integer >= 1"),
        (lambda: ManyWell(3), "ManyWell.dim must be even"),
        (lambda: Funnel(1), "Funnel.dim must be an integer >= 2"),
        (lambda: Rosenbrock(-1.0), "Rosenbrock.steepness must be > 0"),
        (lambda: Rosenbrock(100.0, 0.0), "Rosenbrock.temperature must be > 0"),
        (lambda: Banana(2, 0.0), "Banana.scale must be > 0"),
        (lambda: Banana(2, 1.0, float("nan")), "Banana.bend must be finite"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "energy",
    [
        standard_normal(2),
        GaussianMixture(jnp.zeros(1), jnp.zeros((1, 2)), 1.0),
        DoubleWell(1.0, 2),
        ManyWell(2),
        Funnel(2),
        Banana(),
        Rosenbrock(),
    ],
    ids=lambda e: type(e).__name__,
)
def test_refuses_another_size(energy):
    with pytest.raises(ValueError, match=r"must be ONE sample of shape \(2,\); got shape \(3,\)"):
        energy(jnp.zeros(3))
