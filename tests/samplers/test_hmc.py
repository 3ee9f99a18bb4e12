"""HMC against closed forms and identities: acceptance, Creutz, reversibility, order, a bounded support."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import FunctionEnergy
from energax.numerics import uniforms
from energax.samplers import HMC, HMCState, hmc, init_chains, sample
from energax.samplers.hmc import trajectory
from judges import TARGETS, bounded, judge_acceptance, judge_invariance, judge_moments, reach, target


def test_acceptance_on_a_gaussian():
    judge_acceptance(HMC(0.5, 10), 0.925279346, dim=10, num_chains=10_000)


@pytest.mark.parametrize("step_size", [0.1, 0.3, 0.6])
def test_a_bounded_support_is_respected(step_size):
    truth = target(bounded, -0.999999, 0.999999)
    exact = {"x": (lambda x: x[0], 0.0), "x^2": (lambda x: x[0] ** 2, truth.mean(lambda x: x[0] ** 2))}
    judge_moments(HMC(step_size, 5), bounded, exact, truth.sample(1, 2000), burn_in=20, num_samples=60)


def test_creutz_identity():
    """E[exp(-energy error)] = 1 over exact draws, at a step where some are rejected."""
    truth = TARGETS["tilted well, beta 2"]()
    sampler, energy = HMC(0.2, 3), truth.energy

    @jax.jit
    def errors(key, xs):
        keys = jax.random.split(key, len(xs))
        return jax.vmap(lambda k, x: sampler.step(k, energy, sampler.init(energy, x))[1].energy_error)(keys, xs)

    weights = np.exp(-np.asarray(errors(jax.random.key(0), truth.sample(0, 40_000)), np.float64))
    assert np.minimum(weights, 1.0).mean() < 0.96
    assert abs(weights.mean() - 1.0) < reach() * weights.std() / np.sqrt(len(weights))


def test_the_trajectory_is_reversible_and_of_second_order():
    with jax.enable_x64(True):
        energy = FunctionEnergy(lambda x: jnp.sum((x**2 - 1) ** 2) + 0.5 * x[0] * x[1])
        x, p = jnp.array([0.3, -1.1]), jnp.array([0.7, 0.2])

        def run(h, steps, x, p):
            sampler = HMC(h, steps)
            return trajectory(energy, sampler.init(energy, x), p, h, steps)

        def error(h, steps):
            new, end = run(h, steps, x, p)
            return abs(float(new.energy + 0.5 * end @ end - energy(x) - 0.5 * p @ p))

        new, end = run(0.05, 20, x, p)
        back, start = run(0.05, 20, new.x, -end)
        assert isinstance(new, HMCState)
        np.testing.assert_allclose(back.x, x, atol=1e-10)
        np.testing.assert_allclose(-start, p, atol=1e-10)
        slope = np.log2(error(0.04, 20) / error(0.02, 40))
        assert 1.7 < slope < 2.3


def test_the_trajectory_keeps_volume():
    """det d(x', p') / d(x, p) = 1 at any step, to rounding: what lets the test do without a determinant."""
    with jax.enable_x64(True):
        energy = FunctionEnergy(lambda x: jnp.sum((x**2 - 1) ** 2) + 0.5 * x[0] * x[1])

        def run(z):
            new, end = trajectory(energy, HMC(0.3, 4).init(energy, z[:2]), z[2:], 0.3, 4)
            return jnp.concatenate([new.x, end])

        np.testing.assert_allclose(np.linalg.det(jax.jacfwd(run)(jnp.array([0.3, -1.1, 0.7, 0.2]))), 1.0, rtol=1e-11)


def test_whole_periods_are_named_in_the_docs_and_true():
    """One whole period of a Gaussian comes back to where it was: the failure that the docstring states."""
    sampler, energy = HMC(2 * np.pi / 100, 100), FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))
    chains = init_chains(sampler, energy, jnp.ones((4, 1)))
    _, draws = sample(jax.random.key(0), sampler, energy, chains, 3)
    np.testing.assert_allclose(draws.x, 1.0, atol=0.02)


def test_jitter_ends_the_whole_periods():
    sampler, energy = HMC(2 * np.pi / 100, 100, jitter=0.5), FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))
    chains = init_chains(sampler, energy, jnp.ones((4000, 1)))
    _, draws = sample(jax.random.key(0), sampler, energy, chains, 3)
    assert abs(float(jnp.var(draws.x[:, -1])) - 1.0) < reach() * np.sqrt(2 / 4000)


def test_a_length_drawn_by_the_bits_of_the_momentum_is_caught(monkeypatch):
    """The planted bug: jitter from words that the momentum has used, so that fast starts take short steps."""

    def planted(key, step_size, jitter):
        return step_size * (1.0 + jitter * (2.0 * uniforms(key, (1,))[0] - 1.0))

    monkeypatch.setattr(hmc, "jittered", planted)
    with pytest.raises(AssertionError, match="standard errors off"):
        judge_invariance(HMC(0.3, 3, jitter=0.6), TARGETS["tilted well, beta 2"]())


def test_refusals():
    for call, message in (
        (lambda: HMC(0.0, 3), "HMC.step_size must be > 0; got 0.0"),
        (lambda: HMC(0.1, 0), "HMC.num_leapfrog must be an integer >= 1; got 0"),
        (lambda: HMC(0.1, 3, jitter=1.0), "HMC.jitter must lie in \\(0, 1\\); got 1.0"),
        (lambda: HMC(0.1, True), "HMC.num_leapfrog must be an integer >= 1; got True"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
