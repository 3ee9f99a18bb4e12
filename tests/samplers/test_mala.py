"""MALA against closed forms: acceptance, a bounded support, float32 far from the origin."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import FunctionEnergy
from energax.numerics import normal_like
from energax.samplers import MALA, advance, init_chains
from judges import bounded, judge_acceptance, judge_moments, target


def test_acceptance_on_a_gaussian():
    judge_acceptance(MALA(0.5), 0.920833152)


@pytest.mark.parametrize("step_size", [0.05, 0.2, 0.6])
def test_a_bounded_support_is_respected(step_size):
    """A peer's kernel moves what leaves the support to 0 and accepts it: variance 0.209 to 0.156 for 0.239."""
    truth = target(bounded, -0.999999, 0.999999)
    exact = {
        "x": (lambda x: x[0], 0.0),
        "x^2": (lambda x: x[0] ** 2, truth.mean(lambda x: x[0] ** 2)),
        "x^4": (lambda x: x[0] ** 4, truth.mean(lambda x: x[0] ** 4)),
    }
    judge_moments(MALA(step_size), bounded, exact, truth.sample(1, 2000), burn_in=20, num_samples=60)


def test_proposals_outside_are_flagged_and_nobody_sits_at_0():
    truth = target(bounded, -0.999999, 0.999999)
    chains = init_chains(MALA(0.6), bounded, truth.sample(1, 2000))
    chains, info = advance(jax.random.key(0), MALA(0.6), bounded, chains, 20)
    assert bool(jnp.all(jnp.isfinite(chains.states.energy)))
    assert float(jnp.mean(info.divergent)) > 0.5
    assert float(jnp.mean(chains.states.x == 0.0)) == 0.0


def test_the_ratio_is_that_of_the_textbook():
    """log alpha = E(x) - E(y) + (|y - x + h g(x)|^2 - |x - y + h g(y)|^2) / (4 h), in float64."""
    energy, h = (lambda x: jnp.sum(x + jnp.exp(-x)) + 0.3 * x[0] * x[1]), 0.3
    key, x = jax.random.key(5), jnp.array([0.4, -0.2])
    sampler = MALA(h)
    _, info = sampler.step(key, FunctionEnergy(energy), sampler.init(FunctionEnergy(energy), x))
    with jax.enable_x64(True):
        x = jnp.asarray(np.asarray(x), jnp.float64)
        noise = jnp.asarray(np.asarray(normal_like(key, jnp.zeros(2, jnp.float32))), jnp.float64)
        y = x - h * jax.grad(energy)(x) + np.sqrt(2 * h) * noise
        forward = jnp.sum((y - x + h * jax.grad(energy)(x)) ** 2)
        back = jnp.sum((x - y + h * jax.grad(energy)(y)) ** 2)
        expected = min(1.0, float(jnp.exp(energy(x) - energy(y) + (forward - back) / (4 * h))))
    assert float(info.acceptance) == pytest.approx(expected, rel=1e-5)


def test_refusals():
    with pytest.raises(ValueError, match=r"MALA.step_size must be > 0; got -1"):
        MALA(-1.0)
