"""SVGD against the naive double loop, the Stein identity, gradient descent, and a Gaussian."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from energax.samplers import median_bandwidth, stein_direction, svgd
from judges import TARGETS, _z, verdict

MODULE = sys.modules["energax.samplers.svgd"]


def skewed(x):
    return jnp.sum(x + jnp.exp(-x)) + 0.3 * x[0] * x[1]


def double_loop(points, gradients, at, h):
    """Liu and Wang's eq. (8), one kernel at a time."""
    phi = np.zeros_like(at)
    for i, y in enumerate(at):
        for x, g in zip(points, gradients, strict=True):
            k = np.exp(-np.sum((x - y) ** 2) / h)
            phi[i] += k * -g + k * -2.0 / h * (x - y)  # the second is the gradient of k in x
    return phi / len(points)


def judge_double_loop():
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        x, y = rng.normal(size=(12, 2)) + 3.0, rng.normal(size=(5, 2)) + 3.0
        g = np.asarray(jax.vmap(jax.grad(skewed))(jnp.asarray(x)))
        found = MODULE.stein_direction(jnp.asarray(x), jnp.asarray(g), jnp.asarray(y), 0.7)
        np.testing.assert_allclose(found, double_loop(x, g, y, 0.7), atol=1e-13)


def test_the_direction_is_the_double_loop():
    judge_double_loop()


def test_the_gradient_of_the_kernel_is_that_of_autodiff():
    with jax.enable_x64(True):
        x, y = jnp.array([[0.3, -0.2]]), jnp.array([[1.0, 0.5]])
        expected = jax.grad(lambda x: jnp.exp(-jnp.sum((x - y[0]) ** 2) / 0.9))(x[0])
        np.testing.assert_allclose(stein_direction(x, jnp.zeros((1, 2)), y, 0.9)[0], expected, rtol=1e-12)


@pytest.mark.parametrize("factor", [-1.0, 0.0, 0.5])
def test_a_wrong_repulsion_is_caught(factor, monkeypatch):
    honest = MODULE.stein_direction

    def planted(points, gradients, at, bandwidth):
        drift = honest(points, gradients, at, bandwidth) - honest(points, 0.0 * gradients, at, bandwidth)
        return drift + factor * honest(points, 0.0 * gradients, at, bandwidth)

    monkeypatch.setattr(MODULE, "stein_direction", planted)
    with pytest.raises(AssertionError, match="atol=1e-13"):
        judge_double_loop()


@pytest.mark.parametrize("truth", TARGETS)
def test_the_stein_identity_holds_under_the_target_and_not_under_another(truth):
    """E[phi(y)] = 0 at any y for exact draws: skewed and tempered targets, 4 standard errors."""
    truth = TARGETS[truth]()
    at, h = jnp.linspace(-1.0, 2.0, 7)[:, None], 0.8

    def scores(x):
        g = jax.vmap(jax.grad(truth.energy))(x)
        phi = np.asarray(stein_direction(x, g, at, h)[:, 0], float)
        d = np.asarray(x[:, 0], float)[:, None] - np.asarray(at[:, 0], float)
        k = np.exp(-(d**2) / h)
        terms = -k * np.asarray(g, float) - 2.0 / h * d * k
        np.testing.assert_allclose(phi, terms.mean(0), atol=2e-4)
        return {f"y = {y:.1f}": _z(term, 0.0) for y, term in zip(np.asarray(at[:, 0]), terms.T, strict=True)}

    x = truth.sample(3, 100_000)
    verdict("Stein identity", scores(x))
    with pytest.raises(AssertionError, match="standard errors off"):
        verdict("Stein identity", scores(1.05 * x))


def test_one_particle_descends_the_gradient():
    found = svgd(skewed, jnp.array([[1.0, -0.5]]), 40, optimizer=optax.sgd(0.1))
    x = jnp.array([1.0, -0.5])
    for _ in range(40):
        x = x - 0.1 * jax.grad(skewed)(x)
    np.testing.assert_allclose(found.x[0], x, rtol=1e-5)
    assert not bool(found.divergent)


def test_a_gaussian_is_spread_over():
    """Mean, covariance and orientation; the finite number of particles takes some per cent of the variance."""
    covariance = np.array([[1.0, 0.6], [0.6, 2.0]])
    inverse = jnp.asarray(np.linalg.inv(covariance), jnp.float32)
    start = {"a": 0.3 * jax.random.normal(jax.random.key(0), (120, 1)), "b": jnp.zeros((120, 1)) + 4.0}
    start["b"] = start["b"] + 0.3 * jax.random.normal(jax.random.key(1), (120, 1))

    def energy(x):
        flat = jnp.concatenate([x["a"], x["b"]]) - jnp.array([1.0, -2.0])
        return 0.5 * flat @ inverse @ flat

    found = svgd(energy, start, 1500, step_size=0.5)
    x = np.concatenate([found.x["a"], found.x["b"]], 1)
    np.testing.assert_allclose(x.mean(0), [1.0, -2.0], atol=0.02)
    ratio = np.cov(x.T) / covariance
    assert np.all((ratio > 0.85) & (ratio < 1.02)), ratio
    assert float(found.norm[-1]) < 0.01 * float(found.norm[0])


def test_the_median_rule_is_that_of_numpy():
    x = np.random.default_rng(1).normal(size=(9, 3))
    pairs = [np.sum((x[i] - x[j]) ** 2) for i in range(9) for j in range(i)]
    assert float(median_bandwidth(jnp.asarray(x, jnp.float32))) == pytest.approx(np.median(pairs) / np.log(9), rel=1e-5)
    assert float(median_bandwidth(jnp.zeros((4, 2)))) == 1.0
    fixed = svgd(skewed, jnp.asarray(x[:, :2], jnp.float32), 2, bandwidth=0.5)
    assert float(fixed.bandwidth) == 0.5


def test_a_second_run_traces_nothing_and_divergence_is_told():
    calls = []

    def counted(x):
        calls.append(1)
        return jnp.sum(x**4)

    for step_size in (0.1, 0.2):
        svgd(counted, jnp.ones((3, 2)) * jnp.arange(3.0)[:, None], 5, step_size=step_size)
        calls.append(0)
    first = calls.index(0)
    assert sum(calls[first:]) == 1  # the door asks for the shape of the energy: nothing is compiled
    wild = svgd(counted, jnp.full((3, 2), 10.0), 40, optimizer=optax.sgd(1.0))
    assert bool(wild.divergent)


def test_refusals():
    xs = jnp.ones((3, 2))
    for call, message in (
        (lambda: svgd(skewed, xs, 0), "svgd.num_steps must be an integer >= 1; got 0"),
        (lambda: svgd(skewed, xs, 5, step_size=0.0), "svgd.step_size must be > 0; got 0.0"),
        (lambda: svgd(skewed, xs, 5, bandwidth=-1.0), "svgd.bandwidth must be > 0; got -1.0"),
        (lambda: svgd(skewed, xs.at[0, 0].set(jnp.nan), 5), "xs must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
