"""Leimkuhler-Matthews: no bias on a Gaussian, proved without sampling, and a bias of second order elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from energax.core import FunctionEnergy
from energax.numerics import normal_like
from energax.samplers import ULA, LeimkuhlerMatthews, LeimkuhlerMatthewsState, advance, init_chains
from judges import _z, verdict
from samplers.linear import PRECISION, stationary, well


def law(sampler, forget=False):
    energy = FunctionEnergy(well)

    def step(key, z):
        state = LeimkuhlerMatthewsState(jnp.asarray(z[:2]), jnp.asarray(z[2:]) * (0.0 if forget else 1.0))
        new, _ = sampler.step(key, energy, state)
        return np.concatenate([new.x, new.noise])

    return stationary(step, lambda key: np.asarray(normal_like(key, jnp.zeros(2))), 4)


def judge_exactness(covariance):
    np.testing.assert_allclose(covariance[:2, :2], np.linalg.inv(PRECISION), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(covariance[2:, 2:], np.eye(2), atol=1e-12)


@pytest.mark.parametrize("step_size", [0.1, 0.5, 0.8])  # stable below 2 / 2.28
def test_the_covariance_on_a_gaussian_is_the_targets_at_any_step(step_size):
    judge_exactness(law(LeimkuhlerMatthews(step_size)))


def test_a_forgotten_noise_is_caught():
    with pytest.raises(AssertionError, match="rtol=1e-10"):
        judge_exactness(law(LeimkuhlerMatthews(0.1), forget=True))


def second_moment(kernel, h):
    """<x^2> of the stationary law of a chain on x^4 / 4: its step's expectation of a function, applied until constant.

    For Leimkuhler-Matthews y = x - s xi, s = sqrt(h / 2), is Markov: y' = x - h g(x) + s xi with x = y + s xi.
    """
    grid, s = np.linspace(-4.5, 4.5, 301), np.sqrt(h / 2)
    nodes, weights = np.polynomial.hermite_e.hermegauss(32)
    weights = weights / weights.sum()
    if kernel == "ula":
        seen = grid[:, None] + 0.0 * nodes
        ahead = grid[:, None] - h * grid[:, None] ** 3 + 2 * s * nodes
    else:
        seen = grid[:, None] + s * nodes
        ahead = seen - h * seen**3 + s * nodes
    f = seen**2 @ weights
    for _ in range(int(15 / h)):
        f = CubicSpline(grid, f)(np.clip(ahead, grid[0], grid[-1])) @ weights
    inner = np.abs(grid) < 2.5
    assert np.ptp(f[inner]) < 1e-7
    return float(f[inner].mean())


def test_the_bias_on_a_quartic_is_of_second_order_and_the_chain_has_it():
    grid = np.linspace(-4.5, 4.5, 3001)
    p = np.exp(-(grid**4) / 4)
    exact = float(p @ grid**2 / p.sum())
    bias = {name: [second_moment(name, h) - exact for h in (0.1, 0.05)] for name in ("ula", "lm")}
    assert np.log2(bias["ula"][0] / bias["ula"][1]) == pytest.approx(1.0, abs=0.35)
    assert np.log2(bias["lm"][0] / bias["lm"][1]) == pytest.approx(2.0, abs=0.35)
    assert abs(bias["lm"][0]) < 0.2 * abs(bias["ula"][0])
    start = jnp.asarray(np.random.default_rng(0).choice(grid, p=p / p.sum(), size=(100_000, 1)), jnp.float32)
    for name, sampler in (("ula", ULA(0.1)), ("lm", LeimkuhlerMatthews(0.1))):
        chains = init_chains(sampler, lambda x: 0.25 * jnp.sum(x**4), start)
        chains, _ = advance(jax.random.key(1), sampler, lambda x: 0.25 * jnp.sum(x**4), chains, 60)
        score = _z(np.asarray(chains.states.x[:, 0], np.float64) ** 2, exact + bias[name][0])
        verdict("<x^2> of the discretised law", {name: score})


def test_refusals():
    with pytest.raises(ValueError, match=r"LeimkuhlerMatthews.step_size must be > 0; got -1"):
        LeimkuhlerMatthews(-1.0)
