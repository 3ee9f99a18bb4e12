"""ULA against the law of its own discretisation, which is exact."""

import jax
import jax.numpy as jnp
import pytest

from energax.samplers import ULA, advance, init_chains
from judges import judge_moments


@pytest.mark.parametrize(("step_size", "temperature"), [(0.2, 1.0), (1.0, 1.0), (0.5, 0.25)])
def test_stationary_variance_on_a_gaussian(step_size, temperature):
    """s^2 T / (1 - h / (2 s^2)), s = 1 and s = 2 at once, and no third moment."""
    scale = jnp.array([1.0, 2.0])
    sampler = ULA(step_size, temperature=temperature)
    exact = {
        "s = 1": (lambda x: x[0] ** 2, temperature / (1 - step_size / 2)),
        "s = 2": (lambda x: x[1] ** 2, 4 * temperature / (1 - step_size / 8)),
        "mean": (lambda x: x[0], 0.0),
        "third": (lambda x: x[1] ** 3, 0.0),
    }
    judge_moments(
        sampler, lambda x: 0.5 * jnp.sum((x / scale) ** 2), exact, jnp.zeros((1000, 2)), burn_in=300, num_samples=100
    )


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
