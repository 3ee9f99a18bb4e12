"""ULA against the law of its own discretisation, which is exact."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import FunctionEnergy
from energax.samplers import ULA, advance, init_chains
from judges import _z, judge_moments, verdict


@pytest.mark.parametrize(("step_size", "temperature", "beta"), [(0.2, 1.0, 1.0), (1.0, 1.0, 0.5), (0.5, 0.25, 2.0)])
def test_stationary_variance_on_a_gaussian(step_size, temperature, beta):
    """T s^2 / (1 - h / (2 s^2)), s = 1 and s = 2 at once, and no third moment; at beta s^2 is s^2 / beta."""
    scale = jnp.array([1.0, 2.0])
    sampler = ULA(step_size, temperature=temperature)
    exact = {
        "s = 1": (lambda x: x[0] ** 2, temperature / beta / (1 - beta * step_size / 2)),
        "s = 2": (lambda x: x[1] ** 2, 4 * temperature / beta / (1 - beta * step_size / 8)),
        "mean": (lambda x: x[0], 0.0),
        "third": (lambda x: x[1] ** 3, 0.0),
    }
    energy = beta * FunctionEnergy(lambda x: 0.5 * jnp.sum((x / scale) ** 2))
    judge_moments(sampler, energy, exact, jnp.zeros((1000, 2)), burn_in=300, num_samples=100)


def test_memory_fades_by_its_factor():
    """<x' x> / <x^2> = 1 - h / s^2 after one step from the stationary law, h / (2 s^2) = 0.15; seen: 0.03."""
    energy, h = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2)), 0.3
    start = jax.random.normal(jax.random.key(5), (100_000, 1)) / jnp.sqrt(1 - h / 2)
    chains, _ = advance(jax.random.key(6), ULA(h), energy, init_chains(ULA(h), energy, start), 1)
    x, y = (np.asarray(a[:, 0], np.float64) for a in (start, chains.states.x))
    verdict("one step", {"<x y>": _z(x * y, (1 - h) / (1 - h / 2)), "<y^2>": _z(y**2, 1 / (1 - h / 2))})


def test_decoupled_noise_names_its_temperature():
    sampler = ULA.from_noise(10.0, 0.005)
    assert float(sampler.temperature) == pytest.approx(1.25e-6)
    assert float(sampler.noise) == pytest.approx(0.005)
    assert float(ULA(0.02).noise) == pytest.approx(0.2)


def test_refusals():
    for call, message in (
        (lambda: ULA(0.0), "ULA.step_size must be > 0; got 0.0"),
        (lambda: ULA(float("nan")), "ULA.step_size must be > 0; got nan"),
        (lambda: ULA(0.1, temperature=-1.0), "ULA.temperature must be >= 0; got -1.0"),
        (lambda: ULA.from_noise(0.1, -0.1), "ULA.noise must be >= 0; got -0.1"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_narrow_types_keep_their_type_and_their_counts():
    energy, sampler = (lambda x: 0.5 * jnp.sum(x**2)), ULA(0.1)
    chains = init_chains(sampler, energy, jnp.zeros((500, 2), jnp.bfloat16))
    chains, info = advance(jax.random.key(0), sampler, energy, chains, 600)
    assert chains.states.x.dtype == jnp.bfloat16
    assert float(info.acceptance[0]) == 1.0
    assert abs(float(jnp.var(chains.states.x.astype(jnp.float32))) - 1 / 0.95) < 0.15
