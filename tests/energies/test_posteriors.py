"""Bayesian posteriors: textbook densities, evidences computed elsewhere, and a second route to each evidence."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from energax.core import FunctionEnergy
from energax.energies import (
    BrownianMotion,
    EightSchools,
    EightSchoolsCentred,
    LinearRegression,
    LogisticRegression,
    Seeds,
    breast_cancer_posterior,
    brownian_exact,
    eight_schools_exact,
    five_points_posterior,
    quadrature_exact,
)
from judges import reach

Y, S = np.array([28, 8, -3, 7, -1, 1, 18, 12.0]), np.array([15, 10, 16, 11, 9, 11, 10, 18.0])


def textbook_schools(x):
    """-log p by the densities of another library, centred."""
    mu, tau, theta = x[0], np.exp(x[1]), x[2:]
    priors = stats.norm.logpdf(mu, 0, 5) + stats.halfcauchy.logpdf(tau, 0, 5) + x[1]
    return -(priors + stats.norm.logpdf(theta, mu, tau).sum() + stats.norm.logpdf(Y, theta, S).sum())


@pytest.mark.parametrize("log_tau", [-3.0, 1.2, 5.0])
def test_eight_schools_are_the_textbook_densities(log_tau):
    x = np.random.default_rng(0).normal(size=10) * 3.0
    x[1] = log_tau
    x[2:] = x[0] + np.exp(log_tau) * x[2:]
    z = np.concatenate([x[:2], (x[2:] - x[0]) / np.exp(log_tau)])
    with jax.enable_x64(True):
        centred, other = EightSchoolsCentred()(jnp.asarray(x)), EightSchools()(jnp.asarray(z))
        np.testing.assert_allclose(EightSchools().effects(jnp.asarray(z)), x[2:], rtol=1e-12)
    np.testing.assert_allclose(centred, textbook_schools(x), rtol=1e-12)
    np.testing.assert_allclose(other, np.asarray(centred) - 8 * log_tau, rtol=1e-12)


def test_eight_schools_exact():
    exact = eight_schools_exact()
    np.testing.assert_allclose(exact.log_z, -31.311347352292785, rtol=1e-9)
    np.testing.assert_allclose(exact.mu, [4.396820713833007, 3.3177044631395622], rtol=1e-8)
    np.testing.assert_allclose(exact.tau, [3.5977054840976663, 3.219958414662765], rtol=1e-8)
    np.testing.assert_allclose(exact.effects[:, 0], [6.211884204056293, 5.593126195330699], rtol=1e-8)
    np.testing.assert_allclose(exact.effects[:, 7], [4.854253319881539, 5.290801064554737], rtol=1e-8)


def gaussian_out(energy, head, size):
    """-log of the integral over all but the first `head` coordinates, in which the energy is quadratic."""

    def rest(x):
        def tail(z):
            return energy(jnp.concatenate([x, z]))

        zero = jnp.zeros(size, x.dtype)
        slope, bend = jax.grad(tail)(zero), jax.hessian(tail)(zero)
        factor = jnp.linalg.cholesky(bend)
        white = jax.scipy.linalg.solve_triangular(factor, slope, lower=True)
        volume = 0.5 * size * math.log(2 * math.pi) - jnp.sum(jnp.log(jnp.diagonal(factor)))
        return tail(zero) - 0.5 * jnp.sum(white**2) - volume

    return FunctionEnergy(rest)


def test_eight_schools_evidence_from_the_energy():
    marginal = gaussian_out(EightSchools(), 2, 8)
    found = quadrature_exact(marginal, ((-30.0, 35.0), (-30.0, 9.0)), 150, observe=lambda x: np.exp(x[:, 1]))
    np.testing.assert_allclose(found.log_z, -31.311347352292785, atol=1e-6)
    np.testing.assert_allclose(found.mean[0], 4.396820713833007, rtol=1e-5)
    np.testing.assert_allclose(found.observed, 3.5977054840976663, rtol=1e-5)
    # the Jacobian of log tau forgotten
    wrong = quadrature_exact(FunctionEnergy(lambda x: marginal(x) + x[1]), ((-30.0, 35.0), (-30.0, 9.0)), 150)
    assert abs(wrong.log_z - found.log_z) > 0.1


def test_brownian_motion():
    exact = brownian_exact()
    np.testing.assert_allclose(exact.log_z, 1.1877489859196375, atol=1e-6)
    np.testing.assert_allclose(exact.innovation, 0.11553360444887192, atol=1e-6)
    np.testing.assert_allclose(exact.observation, 0.11265649077825743, atol=1e-6)
    some = [0.09307542809847678, -0.1894404187685752, -0.6014759516662223, -0.6441110150546989]
    np.testing.assert_allclose(exact.path[[0, 5, 16, 29]], some, atol=1e-6)
    finer = brownian_exact(12)
    np.testing.assert_allclose(finer.log_z, exact.log_z, atol=1e-8)


def test_brownian_evidence_from_the_energy():
    found = quadrature_exact(gaussian_out(BrownianMotion(), 2, 30), ((-14.0, 6.0),) * 2, 100)
    np.testing.assert_allclose(found.log_z, 1.1877489859196375, atol=1e-5)


def test_linear_regression():
    posterior = five_points_posterior()
    np.testing.assert_allclose(posterior.log_z(), -9.334056701826105, rtol=1e-6)
    np.testing.assert_allclose(posterior.mean(), [1.0988368980737588, 0.9703068417386019], rtol=1e-5)
    covariance = [[0.14975041804961084, -0.049912646629317846], [-0.04991264662931784, 0.024968801476316253]]
    np.testing.assert_allclose(posterior.covariance(), covariance, rtol=1e-5)
    w = np.array([0.7, 1.3])
    y, x = np.array([1.2, 1.9, 3.2, 3.8, 5.1]), np.arange(5.0)
    value = -(stats.norm.logpdf(y, w[0] + w[1] * x, 0.5).sum() + stats.norm.logpdf(w, 0, 10).sum())
    np.testing.assert_allclose(posterior(jnp.asarray(w, jnp.float32)), value, rtol=1e-6)
    # the evidence by the other formula: y ~ N(0, 0.25 I + 100 X X^T)
    design = np.stack([np.ones(5), x], 1)
    evidence = stats.multivariate_normal(np.zeros(5), 0.25 * np.eye(5) + 100 * design @ design.T).logpdf(y)
    np.testing.assert_allclose(posterior.log_z(), evidence, rtol=1e-6)


def importance(log_p, start, rng, num):
    """log Z, its error and the mean under exp(log_p), rows at once, from a t proposal at the mode; float64."""
    # the curvature where BFGS ends is rough: take it by differences of gradients
    mode = minimize(lambda w: -log_p(w[None])[0], start, method="BFGS").x
    dim, step = len(mode), 1e-3
    shifts = np.eye(dim) * step
    pairs = (shifts[:, None] + shifts[None, :]).reshape(-1, dim)
    opposed = (shifts[:, None] - shifts[None, :]).reshape(-1, dim)
    bend = -(log_p(mode + pairs) + log_p(mode - pairs) - log_p(mode + opposed) - log_p(mode - opposed))
    covariance = np.linalg.inv(bend.reshape(dim, dim) / (4 * step**2))
    proposal = stats.multivariate_t(mode, 1.15 * (covariance + covariance.T) / 2, df=12 if dim > 10 else 5)
    w = proposal.rvs(num, random_state=rng)
    logs = log_p(w) - proposal.logpdf(w)
    top = logs.max()
    weight = np.exp(logs - top)
    log_z = top + math.log(weight.mean())
    return log_z, weight.std() / weight.mean() / math.sqrt(num), (weight @ w) / weight.sum()


def test_breast_cancer():
    posterior = breast_cancer_posterior()
    signed = np.asarray(posterior.signed, np.float64)

    def log_p(w):
        prior = -0.5 * np.sum(w**2, 1) - 0.5 * 31 * math.log(2 * math.pi)
        return prior + np.concatenate([log_expit(part @ signed.T).sum(1) for part in np.array_split(w, 16)])

    rng = np.random.default_rng(0)
    points = 0.5 * rng.normal(size=(4, 31))
    found = jax.vmap(posterior)(jnp.asarray(points, jnp.float32))
    np.testing.assert_allclose(found, -log_p(points), rtol=1e-5)
    log_z, error, mean = importance(log_p, np.zeros(31), rng, 40_000)
    assert error < 0.03
    assert abs(log_z + 55.2244) < reach() * error
    np.testing.assert_allclose(mean[:3], [0.2117, -0.4704, -0.4752], atol=0.05)


def test_logistic_regression_is_the_textbook_density():
    features, labels = np.random.default_rng(0).normal(size=(6, 3)), np.array([1, 0, 0, 1, 1, 0])
    w = np.array([0.5, -1.0, 2.0])
    value = -(stats.bernoulli.logpmf(labels, expit(features @ w)).sum() + stats.norm.logpdf(w, 0, 1.7).sum())
    energy = LogisticRegression(jnp.asarray(features, jnp.float32), jnp.asarray(labels), 1.7)
    np.testing.assert_allclose(energy(jnp.asarray(w, jnp.float32)), value, rtol=1e-6)


GERMINATED = np.array([10, 23, 23, 26, 17, 5, 53, 55, 32, 46, 10, 8, 10, 8, 23, 0, 3, 22, 15, 32, 3])
SEEDS = np.array([39, 62, 81, 51, 39, 6, 74, 72, 51, 79, 13, 16, 30, 28, 45, 4, 12, 41, 30, 51, 7])
KIND = np.repeat([0, 1], [11, 10])
EXTRACT = np.repeat([0, 1, 0, 1], [5, 6, 5, 5])
DESIGN = np.stack([np.ones(21), KIND, EXTRACT, KIND * EXTRACT])


def test_seeds_are_the_textbook_density():
    x = 0.4 * np.random.default_rng(0).normal(size=26)
    logits = x[1:5] @ DESIGN + x[5:]
    value = stats.binom.logpmf(GERMINATED, SEEDS, expit(logits)).sum()
    value += stats.norm.logpdf(x[5:], 0, np.exp(-0.5 * x[0])).sum() + stats.norm.logpdf(x[1:5], 0, 10).sum()
    value += stats.gamma.logpdf(np.exp(x[0]), 0.01, scale=100.0) + x[0]
    np.testing.assert_allclose(Seeds()(jnp.asarray(x, jnp.float32)), -value, rtol=1e-6)


def test_seeds_evidence():
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    log_weights = np.log(weights / weights.sum())
    ways = stats.binom.logpmf(GERMINATED, SEEDS, 0.5) + SEEDS * math.log(2.0)

    def log_p(rows):  # plate effects summed by Gauss-Hermite
        found = []
        for x in np.array_split(rows, max(1, len(rows) // 500)):
            effects = np.exp(-0.5 * x[:, :1]) * nodes
            logits = (x[:, 1:] @ DESIGN)[:, :, None] + effects[:, None, :]
            plates = GERMINATED[None, :, None] * logits - SEEDS[None, :, None] * np.logaddexp(0.0, logits)
            likelihood = np.sum(np.logaddexp.reduce(plates + log_weights, axis=2) + ways, axis=1)
            tau = np.exp(x[:, 0])
            hyper = 0.01 * (x[:, 0] - tau) + 0.01 * math.log(0.01) - math.lgamma(0.01)
            found.append(likelihood + hyper + stats.norm.logpdf(x[:, 1:], 0, 10).sum(1))
        return np.concatenate(found)

    log_z, error, mean = importance(log_p, np.array([2.0, -0.5, 0.1, 1.3, -0.8]), np.random.default_rng(0), 10_000)
    assert error < 0.03
    assert abs(log_z + 73.4072) < reach() * error + 0.02
    np.testing.assert_allclose(mean, [2.4618, -0.5483, 0.0706, 1.3554, -0.8277], atol=0.08)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: EightSchools()(jnp.zeros(9)), r"EightSchools: x must be ONE sample of shape \(10,\)"),
        (lambda: EightSchoolsCentred()(jnp.zeros(9)), r"EightSchoolsCentred: x must be ONE sample of shape \(10,\)"),
        (lambda: BrownianMotion()(jnp.zeros(31)), r"x must be ONE sample of shape \(32,\)"),
        (lambda: Seeds()(jnp.zeros(25)), r"x must be ONE sample of shape \(26,\)"),
        (lambda: five_points_posterior()(jnp.zeros(3)), r"w must be ONE sample of shape \(2,\)"),
        (lambda: LinearRegression(jnp.ones((3, 1)), jnp.ones(2), 1.0, 1.0), r"targets must have shape \(3,\)"),
        (lambda: LinearRegression(jnp.ones((3, 1)), jnp.ones(3), 0.0, 1.0), "noise_scale must be > 0"),
        (lambda: LogisticRegression(jnp.ones((3, 1)), jnp.ones(2)), r"labels must have shape \(3,\)"),
        (lambda: LogisticRegression(jnp.ones((3, 1)), jnp.array([0, 1, 2])), "labels must be 0 or 1"),
        (lambda: LogisticRegression(jnp.ones((3, 1)), jnp.ones(3), -1.0), "prior_scale must be > 0"),
    ],
)
def test_refusals(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
