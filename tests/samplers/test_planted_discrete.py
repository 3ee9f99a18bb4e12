"""Bugs planted in the kernels of discrete samples, each of which the judges of `enumerated` must catch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contracts.discrete import MEMBERS, TARGETS, truth
from energax.core import FunctionEnergy
from energax.samplers import SPINS, CheckerboardGibbs, gibbs, random_scan_gibbs, site_metropolis
from energax.samplers.sites import Binary
from enumerated import fresh, judge_law, judge_movement, judge_reversible, run


def kernel(name, target):
    return MEMBERS[name].make(TARGETS[target])


def caught(judge, sampler, target, runner=fresh, num_steps=2):
    before, after = run(sampler, truth(target), runner=runner, num_steps=num_steps)
    with pytest.raises(AssertionError, match=judge.__name__):
        judge(before, after, truth(target))


@pytest.mark.parametrize(
    ("name", "target"), [("gibbs", "glass"), ("site metropolis", "potts"), ("checkerboard", "bits")]
)
def test_a_forgotten_beta(name, target):
    def forgetful(key, sampler, energy, chains, num_steps):
        return fresh(key, sampler, energy.base, chains, num_steps)

    caught(judge_law, kernel(name, target), target, forgetful)


@pytest.mark.parametrize(("name", "target"), [("random scan gibbs", "curved"), ("site metropolis", "curved")])
def test_a_wrong_sign(name, target):
    def inverted(key, sampler, energy, chains, num_steps):
        return fresh(key, sampler, FunctionEnergy(lambda x: -energy(x)), chains, num_steps)

    caught(judge_law, kernel(name, target), target, inverted)


@pytest.mark.parametrize("factor", [0.5, 2.0])
@pytest.mark.parametrize(
    ("name", "module", "target"), [("gibbs", gibbs, "glass"), ("random scan gibbs", random_scan_gibbs, "potts")]
)
def test_a_factor_two_in_the_heat_bath(monkeypatch, name, module, target, factor):
    right = module.invert
    monkeypatch.setattr(module, "invert", lambda level, logits: right(level, factor * logits))
    caught(judge_law, kernel(name, target), target)


def test_a_factor_two_in_the_logits(monkeypatch):
    right = Binary.logits
    monkeypatch.setattr(Binary, "logits", lambda self, x, gradient: 2.0 * right(self, x, gradient))
    caught(judge_law, kernel("checkerboard", "glass"), "glass")


def test_one_level_for_all_sites(monkeypatch):
    right = gibbs.uniforms
    monkeypatch.setattr(gibbs, "uniforms", lambda key, shape: jnp.broadcast_to(right(key, (1,)), shape))
    caught(judge_law, kernel("gibbs", "glass"), "glass")


def test_neighbours_at_once():
    for colours in (np.zeros(5, int), np.array([0, 1, 0, 1, 0])):
        caught(judge_law, CheckerboardGibbs(SPINS, colours), "glass")


def test_sites_that_the_energy_is_not_linear_in():
    caught(judge_law, kernel("checkerboard", "curved"), "curved")


def test_a_proposal_that_prefers_one_way(monkeypatch):
    """Metropolis without Hastings' ratio asks for as likely a way back: here always the next state."""

    def ahead(key, shape):
        return site_metropolis_uniforms(key, shape).at[1].set(0.0)

    site_metropolis_uniforms = site_metropolis.uniforms
    monkeypatch.setattr(site_metropolis, "uniforms", ahead)
    caught(judge_reversible, kernel("site metropolis", "potts"), "potts")


def test_always_accepting(monkeypatch):
    right = site_metropolis.uniforms
    monkeypatch.setattr(site_metropolis, "uniforms", lambda key, shape: right(key, shape).at[2].set(0.0))
    caught(judge_law, kernel("site metropolis", "glass"), "glass")


def test_a_fixed_order_is_not_reversible():
    """No bug, but what the docstrings say, and the power of the judge of reversibility."""
    caught(judge_reversible, kernel("gibbs", "glass"), "glass", num_steps=1)
    caught(judge_reversible, kernel("checkerboard", "bits"), "bits", num_steps=1)


def test_standing_still():
    def still(key, sampler, energy, chains, num_steps):
        return chains, None

    caught(judge_movement, kernel("gibbs", "glass"), "glass", still)


def test_a_stale_energy():
    """A cached energy of another temperature is what `refresh` is for."""

    def stale(key, sampler, energy, chains, num_steps):
        states, _ = jax.vmap(lambda k, s: sampler.step(k, energy, s))(
            jax.random.split(key, len(chains.states.x)), chains.states._replace(energy=0.3 * chains.states.energy)
        )
        return chains.__class__(states), None

    caught(judge_law, kernel("random scan gibbs", "glass"), "glass", stale)
