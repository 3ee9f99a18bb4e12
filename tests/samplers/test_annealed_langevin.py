"""Annealed Langevin against its exact linear recursion on a Gaussian, and the mode masses of an exact mixture."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import AbstractEnergy
from energax.energies import GaussianMixture
from energax.numerics import chain_keys, geometric, normal_like, step_key
from energax.samplers import ULA, advance, annealed_langevin, init_chains
from judges import _z, verdict

MEAN, SCALE = 1.5, 0.3
SIGMAS = np.array([2.0, 0.7, 0.2])
H, STEPS = 0.01, 4


class Smoothed(AbstractEnergy):
    """N(MEAN, SCALE^2) smoothed by the level that is its condition."""

    def __call__(self, x, cond=None):
        return 0.5 * jnp.sum((x["a"] - MEAN) ** 2) / (SCALE**2 + cond**2)


def recursion(start, key):
    """The textbook loop in float64, with the package's own noise."""
    x = np.array(start, float)
    keys = chain_keys(key, len(x))
    for index in range(len(SIGMAS) * STEPS):
        sigma = SIGMAS[index // STEPS]
        h = H * sigma**2 / SIGMAS[-1] ** 2
        noise = jax.vmap(lambda k, index=index: normal_like(step_key(k, index), jnp.zeros(1)))(keys)
        x = x - h * (x - MEAN) / (SCALE**2 + sigma**2) + np.sqrt(2 * h) * np.asarray(noise)
    return x


def judge_recursion():
    with jax.enable_x64(True):
        start, key = jnp.linspace(-3.0, 3.0, 7)[:, None], jax.random.key(3)
        chains, divergent = annealed_langevin(key, Smoothed(), {"a": start}, SIGMAS, step_size=H, steps_per_level=STEPS)
        np.testing.assert_allclose(chains.states.x["a"], recursion(start, key), atol=1e-12)
        assert not bool(divergent.any())


def test_it_is_the_papers_recursion():
    judge_recursion()


def test_one_step_size_for_all_levels_is_caught(monkeypatch):
    module = sys.modules["energax.samplers.annealed_langevin"]
    monkeypatch.setattr(module, "_step_sizes", lambda sigmas, h: jnp.full(sigmas.shape, h))
    monkeypatch.setattr(module, "_anneal", module._anneal.__wrapped__)
    with pytest.raises(AssertionError, match="atol=1e-12"):
        judge_recursion()


def test_the_law_on_a_gaussian_is_exact():
    """m' = m + a (mean - m) and v' = (1 - a)^2 v + 2 h, in float32 over 50,000 chains."""
    chains, _ = annealed_langevin(
        jax.random.key(0), Smoothed(), {"a": jnp.full((50_000, 1), -2.0)}, SIGMAS, step_size=H, steps_per_level=STEPS
    )
    m, v = -2.0, 0.0
    for sigma in np.repeat(SIGMAS, STEPS):
        h = H * sigma**2 / SIGMAS[-1] ** 2
        a = h / (SCALE**2 + sigma**2)
        m, v = m + a * (MEAN - m), (1 - a) ** 2 * v + 2 * h
    x = np.asarray(chains.states.x["a"][:, 0], float)
    verdict("law", {"mean": _z(x, m), "variance": _z((x - m) ** 2, v), "third": _z((x - m) ** 3, 0.0)})


def test_mode_masses_are_recovered_where_plain_langevin_keeps_those_of_its_start():
    means, log_weights = jnp.array([[-4.0], [4.0]]), jnp.log(jnp.array([0.2, 0.8]))

    def smoothed(sigma):
        return GaussianMixture(log_weights, means, jnp.sqrt(0.25 + sigma**2))

    start = 6.0 * jax.random.normal(jax.random.key(1), (4000, 1))
    sigmas = geometric(6.0, 0.1, 12)
    chains, _ = annealed_langevin(jax.random.key(2), smoothed, start, sigmas, step_size=0.002, steps_per_level=100)
    x = chains.states.x[:, 0]
    assert abs(float(jnp.mean(x > 0)) - 0.8) < 0.03
    assert abs(float(jnp.std(x[x > 0])) - np.sqrt(0.26)) < 0.03
    finest = smoothed(sigmas[-1])
    plain, _ = advance(jax.random.key(2), ULA(0.02), finest, init_chains(ULA(0.02), finest, start), 1200)
    assert abs(float(jnp.mean(plain.states.x > 0)) - 0.5) < 0.05


def test_divergence_is_told():
    _, divergent = annealed_langevin(
        jax.random.key(0), Smoothed(), {"a": jnp.ones((3, 1))}, SIGMAS, step_size=30.0, steps_per_level=40
    )
    assert bool(divergent.all())


def test_refusals():
    xs = {"a": jnp.ones((3, 1))}
    for options, message in (
        ({"sigmas": SIGMAS[::-1]}, "annealed_langevin.sigmas must be a row of numbers that fall"),
        ({"sigmas": np.array([[1.0]])}, r"that fall; got shape \(1, 1\)"),
        ({"sigmas": np.array([1.0, 0.0])}, "annealed_langevin.sigmas must be > 0"),
        ({"step_size": 0.0}, "annealed_langevin.step_size must be > 0; got 0.0"),
        ({"steps_per_level": 0}, "annealed_langevin.steps_per_level must be an integer >= 1; got 0"),
    ):
        merged = {"sigmas": SIGMAS, "step_size": H, "steps_per_level": 1} | options
        with pytest.raises(ValueError, match=message):
            annealed_langevin(jax.random.key(0), Smoothed(), xs, **merged)
