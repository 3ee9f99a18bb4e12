"""Generalised HMC: the joint law of x and p is kept, planted bugs are caught, and persistence pays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import FunctionEnergy
from energax.samplers import GeneralisedHMC, advance, generalised_hmc, init_chains, sample
from judges import TARGETS, _z, judge_acceptance, verdict

JOINT = {
    "x": lambda x, p: x,
    "x^2": lambda x, p: x**2,
    "p": lambda x, p: p,
    "p^2": lambda x, p: p**2,
    "p^3": lambda x, p: p**3,
    "x p": lambda x, p: x * p,
    "x^2 p": lambda x, p: x**2 * p,
    "x > 0, p^2": lambda x, p: (x > 0) * p**2,
}


def judge_joint(sampler, num_chains=40_000, num_steps=4):
    """Chains at exact (x, p) keep all joint moments: against the truth, and in pairs against their start."""
    truth = TARGETS["tilted well, beta 2"]()
    x, p = truth.sample(0, num_chains), jnp.asarray(np.random.default_rng(1).standard_normal((num_chains, 1)), "f4")
    chains = init_chains(sampler, truth.energy, x)
    states = chains.states._replace(momentum=p, started=jnp.ones(num_chains, bool))
    chains, info = advance(jax.random.key(2), sampler, truth.energy, type(chains)(states), num_steps)
    before = [np.asarray(a, np.float64)[:, 0] for a in (x, p)]
    after = [np.asarray(a, np.float64)[:, 0] for a in (chains.states.x, chains.states.momentum)]
    scores = {name: _z(f(*after) - f(*before), 0.0) for name, f in JOINT.items()}
    scores |= {"p, unpaired": _z(after[1], 0.0), "p^2, unpaired": _z(after[1] ** 2, 1.0)}
    verdict("judge_joint", scores)
    return float(info.acceptance.mean())


def test_the_joint_law_is_kept():
    assert judge_joint(GeneralisedHMC(0.45, 2, 0.7)) < 0.95  # where many are rejected
    judge_joint(GeneralisedHMC(0.45, 2, 0.7, jitter=0.5))


def test_momentum_that_is_not_turned_on_rejection_is_caught(monkeypatch):
    def planted(take, new, old):
        here, back = old
        return jax.tree.map(lambda a, b: jnp.where(take, a, b), new, (here, -back))

    monkeypatch.setattr(generalised_hmc, "where", planted)
    with pytest.raises(AssertionError, match="standard errors off"):
        judge_joint(GeneralisedHMC(0.45, 2, 0.7), num_steps=5)


def test_a_refresh_of_the_wrong_size_is_caught(monkeypatch):
    monkeypatch.setattr(generalised_hmc, "scaled", lambda kept, p: jax.tree.map(lambda v: jnp.sqrt(kept) * v, p))
    with pytest.raises(AssertionError, match="standard errors off"):
        judge_joint(GeneralisedHMC(0.45, 2, 0.7), num_steps=6)


def test_acceptance_on_a_gaussian():
    """The law of the momentum is that of HMC at every step, and so is the acceptance, from the first step on."""
    judge_acceptance(GeneralisedHMC(0.5, 10, 0.8), 0.925279346, dim=10, num_chains=10_000)


def test_persistence_pays_for_single_leapfrogs():
    """Per gradient on N(0, 1): kept momentum against fresh, by the scatter of the chains' means."""
    energy = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))

    def scatter(persistence):
        sampler = GeneralisedHMC(0.2, 1, persistence)
        chains = init_chains(sampler, energy, jax.random.normal(jax.random.key(0), (1000, 1)))
        _, draws = sample(jax.random.key(1), sampler, energy, chains, 400)
        return float(draws.x.mean(1).var())

    assert scatter(0.9) < 0.3 * scatter(0.01)


def test_a_moved_energy_keeps_the_momentum():
    energy, other = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2)), FunctionEnergy(lambda x: 1.5 * jnp.sum(x**2))
    sampler = GeneralisedHMC(0.2, 1)
    state, _ = sampler.step(jax.random.key(0), energy, sampler.init(energy, jnp.ones(2)))
    renewed = sampler.refresh(other, state)
    np.testing.assert_array_equal(renewed.momentum, state.momentum)
    np.testing.assert_allclose(renewed.gradient, 3.0 * state.x, rtol=1e-6)


def test_refusals():
    for call, message in (
        (lambda: GeneralisedHMC(0.0), "GeneralisedHMC.step_size must be > 0; got 0.0"),
        (lambda: GeneralisedHMC(0.1, 0), "GeneralisedHMC.num_leapfrog must be an integer >= 1; got 0"),
        (lambda: GeneralisedHMC(0.1, 1, 1.0), r"GeneralisedHMC.persistence must lie in \(0, 1\); got 1.0"),
        (lambda: GeneralisedHMC(0.1, 1, jitter=0.0), r"GeneralisedHMC.jitter must lie in \(0, 1\); got 0.0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
