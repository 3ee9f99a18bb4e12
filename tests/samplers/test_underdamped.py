"""Underdamped Langevin against the exact stationary covariance of every scheme on a harmonic well."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import RectBivariateSpline

from energax.core import FunctionEnergy
from energax.numerics import normal_like
from energax.samplers import Underdamped, UnderdampedState, advance, init_chains, underdamped
from judges import _z, verdict

# <x^2> in units of the well's variance and <p^2>, by r = h^2 / (4 variance)
TABLE = {
    "BAOAB": lambda r: (1.0, 1.0 - r),
    "ABOBA": lambda r: (1.0, 1.0 / (1.0 - r)),
    "OBABO": lambda r: (1.0 / (1.0 - r), 1.0),
    "OABAO": lambda r: (1.0 - r, 1.0),
}


def well(stiffness):
    return FunctionEnergy(lambda x: 0.5 * stiffness * jnp.sum(x**2))


def linear_map(sampler, energy):
    """The step on a harmonic well is z' = M z + N xi: M from two starts, N from eight known draws of xi; float64."""

    def step(key, x, p):
        state = sampler.refresh(energy, UnderdampedState(jnp.array([x]), jnp.array([p]), None))
        new, _ = sampler.step(key, energy, state)
        return np.array([new.x[0], new.momentum[0]])

    keys = jax.random.split(jax.random.key(3), 8)
    offsets = np.array([step(key, 0.0, 0.0) for key in keys])
    moved = np.stack([step(keys[0], 1.0, 0.0), step(keys[0], 0.0, 1.0)], axis=1) - offsets[0][:, None]
    draws = np.array([normal_like(key, (jnp.zeros(1),) * sampler.scheme.count("O")) for key in keys])[..., 0]
    weights, *_ = np.linalg.lstsq(draws, offsets)
    np.testing.assert_allclose(draws @ weights, offsets, atol=1e-12)  # linear in this noise, and in no other
    return moved, weights.T


def stationary(sampler, stiffness):
    """The covariance S of (x, p) with S = M S M' + N N'."""
    with jax.enable_x64(True):
        moved, weights = linear_map(sampler, well(stiffness))
    assert np.abs(np.linalg.eigvals(moved)).max() < 1.0
    solved = np.linalg.solve(np.eye(4) - np.kron(moved, moved), (weights @ weights.T).ravel())
    return solved.reshape(2, 2)


def judge_table(scheme, step_size, friction=0.7, stiffness=1.0):
    x2, p2 = TABLE[scheme](stiffness * step_size**2 / 4)
    covariance = stationary(Underdamped(step_size, friction, scheme=scheme), stiffness)
    np.testing.assert_allclose(covariance, np.diag([x2 / stiffness, p2]), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("scheme", TABLE)
def test_the_harmonic_table_is_exact(scheme):
    judge_table(scheme, 0.5)
    judge_table(scheme, 1.2)
    judge_table(scheme, 0.8, friction=3.0, stiffness=2.0)  # a tempered well: the density of beta E is sampled at beta


@pytest.mark.parametrize("scheme", TABLE)
def test_noise_without_its_root_is_caught(scheme, monkeypatch):
    def planted(momentum, damping, noise):
        return jnp.exp(-damping) * momentum - jnp.expm1(-2 * damping) * noise

    monkeypatch.setattr(underdamped, "_thermostat", planted)
    with pytest.raises(AssertionError, match="rtol=1e-10"):
        judge_table(scheme, 0.5)


@pytest.mark.parametrize("scheme", TABLE)
def test_many_chains_have_the_moments_of_the_table(scheme):
    """float32, this package's own noise and the compiled runner, from rest; 4 standard errors over 20,000 chains."""
    sampler, step_size = Underdamped(1.2, 1.0, scheme=scheme), 1.2
    chains = init_chains(sampler, well(1.0), jnp.zeros((20_000, 1)))
    chains, info = advance(jax.random.key(1), sampler, well(1.0), chains, 30)
    x2, p2 = TABLE[scheme](step_size**2 / 4)
    scores = {
        "<x^2>": _z(np.asarray(chains.states.x[:, 0], np.float64) ** 2, x2),
        "<p^2>": _z(np.asarray(chains.states.momentum[:, 0], np.float64) ** 2, p2),
        "<x p>": _z(np.asarray(chains.states.x * chains.states.momentum, np.float64)[:, 0], 0.0),
        "kinetic temperature": _z(np.asarray(info.kinetic_temperature, np.float64), p2),
    }
    verdict("the harmonic table", scores)
    assert not bool(info.divergent.any())


PLACES, MOMENTA = np.linspace(-3.6, 3.6, 81), np.linspace(-5.2, 5.2, 61)


def second_moment(scheme, h, friction):
    """<x^2> of the stationary law on x^4 / 4: a step's expectation of a function of (x, p), applied until constant."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(16 if scheme.count("O") == 1 else 8)
    weights = weights / weights.sum()
    noises = [nodes[:, None], nodes[None, :]][: scheme.count("O")]
    weight = weights[:, None] * (weights[None, :] if len(noises) == 2 else 1.0)
    x, p = (
        each[..., None, None] + sum(0.0 * noise for noise in noises)
        for each in np.meshgrid(PLACES, MOMENTA, indexing="ij")
    )
    for letter in scheme:
        part = h / scheme.count(letter)
        if letter == "A":
            x = x + part * p
        elif letter == "B":
            p = p - part * x**3
        else:
            keep = np.exp(-friction * part)
            p = keep * p + np.sqrt(1.0 - keep**2) * noises.pop(0)
    at = np.clip(x, *PLACES[[0, -1]]).ravel(), np.clip(p, *MOMENTA[[0, -1]]).ravel()
    inner, f = (
        np.ix_(np.abs(PLACES) < 2.0, np.abs(MOMENTA) < 2.0),
        np.repeat(PLACES[:, None] ** 2, len(MOMENTA), axis=1),
    )
    for _ in range(400):
        f = np.sum(RectBivariateSpline(PLACES, MOMENTA, f).ev(*at).reshape(x.shape) * weight, axis=(2, 3))
        if np.ptp(f[inner]) < 1e-7:
            return float(f[inner].mean())
    raise AssertionError("the expectation has not become constant")


@pytest.mark.slow
def test_the_bias_on_a_quartic_is_of_its_order_and_the_chain_has_it():
    """Second order in the step, and fourth for BAOAB at high friction; 4 standard errors over 200,000 chains."""
    grid = np.linspace(-4.5, 4.5, 3001)
    law = np.exp(-(grid**4) / 4)
    exact, bias = float(law @ grid**2 / law.sum()), {}
    for scheme, friction, h, order in (("BAOAB", 1.0, 0.4, 2.0), ("OBABO", 1.0, 0.3, 2.0), ("BAOAB", 1e3, 0.5, 4.0)):
        bias[scheme, friction] = [second_moment(scheme, step, friction) - exact for step in (h, h / 2)]
        coarse, fine = bias[scheme, friction]
        assert np.log2(coarse / fine) == pytest.approx(order, abs=0.5), (scheme, friction)
    energy = FunctionEnergy(lambda x: 0.25 * jnp.sum(x**4))
    start = jnp.asarray(np.random.default_rng(0).choice(grid, p=law / law.sum(), size=(200_000, 1)), jnp.float32)
    sampler = Underdamped(0.3, 1.0, scheme="OBABO")
    chains, _ = advance(jax.random.key(1), sampler, energy, init_chains(sampler, energy, start), 60)
    squares = np.asarray(chains.states.x[:, 0], np.float64) ** 2
    verdict("<x^2> of the discretised law", {"x^2": _z(squares, exact + bias["OBABO", 1.0][0])})
    with pytest.raises(AssertionError, match="standard errors off"):
        verdict("<x^2> of the target", {"x^2": _z(squares, exact)})


@pytest.mark.parametrize("scheme", TABLE)
def test_the_friction_is_what_it_says(scheme):
    """Without a force a step fades the momentum by exp(-friction h); no stationary law above sees the friction."""
    with jax.enable_x64(True):
        moved, weights = linear_map(Underdamped(0.5, 1.4, scheme=scheme), FunctionEnergy(lambda x: 0.0 * jnp.sum(x)))
    np.testing.assert_allclose(moved[1, 1], np.exp(-1.4 * 0.5), rtol=1e-12)
    np.testing.assert_allclose(weights[1] @ weights[1], 1.0 - np.exp(-2 * 1.4 * 0.5), rtol=1e-12)


def test_a_step_past_stability_is_flagged():
    sampler = Underdamped(2.5, 0.1)
    chains = init_chains(sampler, well(1.0), jnp.ones((4, 1)))
    _, info = advance(jax.random.key(1), sampler, well(1.0), chains, 200)
    assert bool(info.divergent.all())


def test_a_moved_energy_keeps_the_momentum():
    sampler = Underdamped(0.5)
    state, _ = sampler.step(jax.random.key(0), well(1.0), sampler.init(well(1.0), jnp.ones(2)))
    renewed = sampler.refresh(well(3.0), state)
    np.testing.assert_array_equal(renewed.momentum, state.momentum)
    np.testing.assert_allclose(renewed.gradient, 3.0 * state.x, rtol=1e-6)


@pytest.mark.parametrize("scheme", TABLE)
def test_one_force_a_step(scheme):
    calls = []
    energy = FunctionEnergy(lambda x: calls.append(1) or 0.5 * jnp.sum(x**2))
    sampler = Underdamped(0.5, 1.0, scheme=scheme)
    state = sampler.init(energy, jnp.ones(2))
    before = len(calls)
    sampler.step(jax.random.key(0), energy, state)
    assert len(calls) == before + 1


def test_refusals():
    refused = {
        r"Underdamped.step_size must be > 0; got 0": lambda: Underdamped(0.0),
        r"Underdamped.friction must be > 0; got -1": lambda: Underdamped(0.1, -1.0),
        r"Underdamped.scheme must be one of BAOAB, ABOBA, OBABO, OABAO; got 'BAO'": lambda: Underdamped(
            0.1, 1.0, scheme="BAO"
        ),
    }
    for message, make in refused.items():
        with pytest.raises(ValueError, match=message):
            make()
