"""The Gaussian machine: reference values, the mixture it is, quadrature over v, exact draws, refusals."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import multivariate_normal

from energax.energies import GaussianRBM, rbm_exact, rbm_samples
from judges import reach

MEAN_V = [2.1447286095218727, 1.320834916170691, -2.93398814719721, 0.882290884714562]
MEAN_H = [0.9709786569536616, 0.01699449805999801, 0.9778806510190431, 0.024077914264995615, 0.9786206344787999]
HIDDEN = np.array(list(itertools.product((0.0, 1.0), repeat=2)))


def reference():
    """W_ij = sin(1 + 2i + 3j), b_i = 0.3 cos i, c_j = -0.5 + 0.2 j, unit variances."""
    i, j = np.arange(4), np.arange(5)
    parts = np.sin(1 + 2 * i[:, None] + 3 * j[None]), 0.3 * np.cos(1.0 * i), -0.5 + 0.2 * j
    return GaussianRBM(*(jnp.asarray(part, jnp.result_type(float)) for part in parts))


def small(dtype=jnp.float32):
    parts = [[1.5, -0.7], [0.4, 2.0]], [0.3, -0.2], [0.1, -0.6], [0.5, 2.0]
    return GaussianRBM(*(jnp.asarray(part, dtype) for part in parts))


def textbook(v, h, beta=1.0):
    """E(v, h) of `small`, term by term in double precision; rows of v against rows of h."""
    w, b, c, var = np.array([[1.5, -0.7], [0.4, 2.0]]), np.array([0.3, -0.2]), np.array([0.1, -0.6]), np.array([0.5, 2])
    quadratic = np.sum((v - b) ** 2 / (2 * var), 1)
    return beta * (quadratic[:, None] - (h @ c)[None, :] - (v / var) @ w @ h.T)


def test_reference_machine():
    with jax.enable_x64(True):
        rbm = reference()
        exact = rbm_exact(rbm)
    np.testing.assert_allclose(exact.log_z, 11.805831616461797, rtol=1e-12)
    np.testing.assert_allclose(exact.visible, MEAN_V, rtol=1e-11)
    np.testing.assert_allclose(exact.hidden, MEAN_H, rtol=1e-11)
    # in float32 parameters, the same to their rounding
    np.testing.assert_allclose(rbm_exact(reference()).log_z, 11.805831616461797, rtol=1e-6)


def judge(rbm, beta=1.0):
    """Joint, free energy and conditionals against the textbook joint energy; log Z and moments by quadrature over v."""
    v = np.random.default_rng(0).normal(size=(40, 2)) * 2.0
    vs, hs = jnp.asarray(v, jnp.float32), jnp.asarray(HIDDEN, jnp.float32)
    energy = textbook(v, HIDDEN, beta)
    found = jax.vmap(lambda v: jax.vmap(lambda h: rbm.joint(v, h))(hs))(vs)
    # a constant of the joint energy is not of the model
    np.testing.assert_allclose(found, energy, rtol=1e-4, atol=1e-4)
    free = -np.logaddexp.reduce(-energy, 1)
    np.testing.assert_allclose(jax.vmap(rbm)(vs), free, rtol=1e-4, atol=1e-4)
    given_v = np.exp(-energy + free[:, None]) @ HIDDEN
    np.testing.assert_allclose(jax.nn.sigmoid(jax.vmap(rbm.hidden_given)(vs)), given_v, atol=1e-5)
    axis = np.linspace(-14.0, 16.0, 401)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    weights = np.exp(-textbook(grid, HIDDEN, beta)) * (axis[1] - axis[0]) ** 2
    mass = weights.sum(0)
    np.testing.assert_allclose(jax.vmap(rbm.hidden_free_energy)(hs), -np.log(mass), rtol=1e-5)
    np.testing.assert_allclose(jax.vmap(rbm.visible_mean)(hs), (weights.T @ grid) / mass[:, None], atol=1e-5)
    exact = rbm_exact(rbm)
    p = weights / mass.sum()
    np.testing.assert_allclose(exact.log_z, np.log(mass.sum()), rtol=1e-6)
    np.testing.assert_allclose(exact.energy, np.sum(p * textbook(grid, HIDDEN, beta)), rtol=1e-5)
    np.testing.assert_allclose(exact.products, grid.T @ p @ HIDDEN, rtol=1e-5)


@pytest.mark.parametrize("beta", [1.0, 0.4])
def test_everything_is_the_textbook_joint_energy(beta):
    judge(small().at_beta(beta), beta)


@pytest.mark.parametrize("bug", ["variance of W forgotten", "hidden bias not tempered", "weights tempered twice"])
def test_the_judge_catches(bug):
    sound = small()
    if bug == "variance of W forgotten":
        w = sound.weights / jnp.exp(sound.log_variances)[:, None]
        rbm = GaussianRBM(w, sound.visible_bias, sound.hidden_bias, jnp.array([0.5, 2.0]))
    elif bug == "hidden bias not tempered":
        rbm = GaussianRBM(sound.weights, sound.visible_bias, sound.hidden_bias, jnp.array([1.25, 5.0]))
    else:
        rbm = GaussianRBM(0.4 * sound.weights, sound.visible_bias, 0.4 * sound.hidden_bias, jnp.array([1.25, 5.0]))
    with pytest.raises(AssertionError):
        judge(rbm, 1.0 if bug == "variance of W forgotten" else 0.4)


def test_it_is_a_mixture_of_gaussians():
    rbm, exact = small(), rbm_exact(small())
    hs = jnp.asarray(HIDDEN, jnp.float32)
    v = jnp.array([0.7, -1.1])
    weights = jnp.exp(-jax.vmap(rbm.hidden_free_energy)(hs) - exact.log_z)
    densities = jax.vmap(lambda h: multivariate_normal.pdf(v, rbm.visible_mean(h), jnp.diag(jnp.array([0.5, 2.0]))))(hs)
    np.testing.assert_allclose(jnp.exp(-rbm(v) - exact.log_z), jnp.sum(weights * densities), rtol=1e-5)


def judge_moments(draws, mean, covariance):
    """Means and second moments of independent draws, within 5 standard errors each."""
    for i in range(draws.shape[1]):
        values = draws[:, i] - mean[i]
        assert abs(values.mean()) < reach() * values.std() / np.sqrt(len(values))
        for j in range(i + 1):
            product = values * (draws[:, j] - mean[j]) - covariance[i, j]
            assert abs(product.mean()) < reach() * product.std() / np.sqrt(len(values)), (i, j)


def test_draws(key):
    rbm, exact = reference(), rbm_exact(reference())
    covariance = [[1.1093670916877987, 0.06341126890724602], [0.06341126890724602, 1.0427665787582048]]
    draws = np.asarray(rbm_samples(key, rbm, 40_000), np.float64)
    judge_moments(draws[:, :2], exact.visible[:2], np.array(covariance))
    with pytest.raises(AssertionError):
        judge_moments(1.03 * draws[:, :2], exact.visible[:2], np.array(covariance))
    h = jnp.array([1.0, 1.0])
    given = jax.vmap(lambda k: small().sample_visible(k, h))(jax.random.split(key, 40_000))
    judge_moments(np.asarray(given, np.float64), np.array([1.1, 2.2]), np.diag([0.5, 2.0]))
    natural = small().visible_given(h)
    np.testing.assert_allclose(natural, [[2.2, 1.1], [-1.0, -0.25]], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: GaussianRBM(jnp.zeros((2, 1)), jnp.zeros(1), jnp.zeros(1)), r"visible_bias must have shape \(2,\)"),
        (lambda: GaussianRBM(jnp.zeros((2, 1)), jnp.zeros(2), jnp.zeros(1), 0.0), "variances must be > 0"),
        (lambda: GaussianRBM(jnp.zeros((2, 1)), jnp.zeros(2), jnp.zeros(1), jnp.ones(3)), "variances must be a number"),
        (lambda: GaussianRBM(jnp.zeros(2), jnp.zeros(2), jnp.zeros(1)), "weights must be floating"),
        (lambda: small()(jnp.zeros(3)), r"v must be ONE sample of shape \(2,\)"),
        (lambda: small().at_beta(0.0), "beta must be > 0"),
    ],
)
def test_refusals(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
