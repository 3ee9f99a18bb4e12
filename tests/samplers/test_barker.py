"""The Barker proposal against its textbook density, its law by quadrature, and the tail where MALA stands still."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import Chains, FunctionEnergy
from energax.numerics import chain_keys
from energax.numerics.random import uniform
from energax.samplers import MALA, Barker, advance, init_chains, num_chains, one_step
from judges import TARGETS, _z, bounded, judge_acceptance, judge_invariance, judge_moments, target, verdict


def energy(x):
    return jnp.sum(x + jnp.exp(-x)) + 0.3 * x[0] * x[1]


def log_density(gradient, x, y, width):
    """log q(y | x) of the paper: 2 N(d; 0, width^2) / (1 + exp(-d dlogp/dx)) a coordinate, in float64."""
    d = y - x
    normal = -0.5 * (d / width) ** 2 - np.log(width * np.sqrt(2 * np.pi))
    return np.sum(np.log(2.0) + normal - np.log1p(np.exp(d * gradient(x))))


def test_the_ratio_is_that_of_the_textbook():
    """alpha = min(1, p(y) q(x | y) / (p(x) q(y | x))), read off accepted proposals, both ways and in float64."""
    sampler, width, e = Barker(0.8), 0.8, FunctionEnergy(energy)
    x, below_one = jnp.array([0.4, -0.2]), 0
    state = sampler.init(e, x)
    step = jax.jit(lambda key, state: sampler.step(key, e, state))
    keys = jax.random.split(jax.random.key(5), 40)
    for key in keys:
        new, info = step(key, state)
        if np.array_equal(new.x, x):
            assert float(uniform(key)) >= float(info.acceptance)
            continue
        with jax.enable_x64(True):
            gradient = lambda at: np.asarray(jax.grad(energy)(jnp.asarray(at, jnp.float64)))  # noqa: E731
            a, b = np.asarray(x, np.float64), np.asarray(new.x, np.float64)
            difference = float(energy(jnp.asarray(a)) - energy(jnp.asarray(b)))
            there, back = log_density(gradient, a, b, width), log_density(gradient, b, a, width)
        expected = min(1.0, np.exp(difference + back - there))
        assert float(info.acceptance) == pytest.approx(expected, rel=2e-5)
        below_one += expected < 1.0
    assert below_one > 5


def test_proposals_have_the_law_that_the_ratio_assumes():
    """From one point: the moments of x' over many keys, by quadrature of alpha(x, y) q(y | x); 4 standard errors."""
    sampler, width, start, num = Barker(1.3), 1.3, 0.7, 100_000

    def slope(x):
        return 1.0 - np.exp(-x)

    y = np.linspace(start - 10.0, start + 10.0, 100_001)
    d = y - start
    q = 2 * np.exp(-0.5 * (d / width) ** 2) / (width * np.sqrt(2 * np.pi))
    ahead, back = q / (1 + np.exp(d * slope(start))), q / (1 + np.exp(-d * slope(y)))
    ratio = np.exp(start + np.exp(-start) - y - np.exp(-y)) * back / ahead
    accepted = np.minimum(1.0, ratio) * ahead
    assert np.trapezoid(ahead, y) == pytest.approx(1.0, abs=1e-9)
    one = FunctionEnergy(lambda x: jnp.sum(x + jnp.exp(-x)))
    chains = init_chains(sampler, one, jnp.full((num, 1), start))
    chains, info = advance(jax.random.key(2), sampler, one, chains, 1)
    jump = np.asarray(chains.states.x[:, 0], np.float64) - start
    scores = {f"jump^{k}": _z(jump**k, float(np.trapezoid(accepted * d**k, y))) for k in (1, 2, 3)}
    scores["acceptance"] = _z(np.asarray(info.acceptance, np.float64), float(np.trapezoid(accepted, y)))
    verdict("one step", scores)


def test_acceptance_on_a_gaussian():
    x, y = np.meshgrid(np.linspace(-8, 8, 2001), np.linspace(-8, 8, 2001), indexing="ij")
    joint = np.exp(-0.5 * x**2 - 0.5 * ((y - x) / 0.9) ** 2) / (np.pi * 0.9)
    there, back = joint / (1 + np.exp((y - x) * x)), joint / (1 + np.exp((x - y) * y)) * np.exp(0.5 * (x**2 - y**2))
    exact = np.trapezoid(np.trapezoid(np.minimum(there, back * there / there), dx=0.008), dx=0.008)
    judge_acceptance(Barker(0.9), float(exact))


def test_a_lost_ratio_is_caught(monkeypatch):
    """The judge of invariance sees a kernel that forgets q(x | y) / q(y | x)."""

    def fresh(key, sampler, energy, chains, num_steps):
        keys, states = chain_keys(key, num_chains(chains)), chains.states
        step = jax.jit(lambda index, states: one_step(sampler, keys, index, energy, states))  # compiled nowhere before
        for index in range(num_steps):
            states, info = step(index, states)
        return Chains(states), info

    truth = TARGETS["tilted well, beta 2"]()
    judge_invariance(Barker(0.5), truth, runner=fresh)
    monkeypatch.setattr(jax.nn, "softplus", jnp.zeros_like)
    with pytest.raises(AssertionError, match="judge_invariance"):
        judge_invariance(Barker(0.5), truth, runner=fresh)


def test_a_bounded_support_is_respected():
    truth = target(bounded, -0.999999, 0.999999)
    exact = {
        "x": (lambda x: x[0], 0.0),
        "x^2": (lambda x: x[0] ** 2, truth.mean(lambda x: x[0] ** 2)),
        "x^4": (lambda x: x[0] ** 4, truth.mean(lambda x: x[0] ** 4)),
    }
    judge_moments(Barker(0.6), bounded, exact, truth.sample(1, 2000), burn_in=20, num_samples=60)


def test_a_steep_tail_is_left_where_mala_stands_still():
    def steep(x):
        return jnp.sum(x**4)

    far = jnp.full((64, 1), 8.0)
    ends = {}
    for sampler in (Barker(0.5), MALA(0.125)):  # the same noise, 0.5
        chains, _ = advance(jax.random.key(0), sampler, steep, init_chains(sampler, steep, far), 100)
        ends[type(sampler).__name__] = float(jnp.abs(chains.states.x).max())
    assert ends["Barker"] < 3.0
    assert ends["MALA"] == 8.0


def test_refusals():
    with pytest.raises(ValueError, match=r"Barker.step_size must be > 0; got -1"):
        Barker(-1.0)
