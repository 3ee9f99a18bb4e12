"""DMALA: its own transition matrix in double precision, and a step size that warm-up can tune."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contracts.discrete import TARGETS, truth
from energax.samplers import DMALA, dmala, init_chains, warm_up
from enumerated import fresh, judge_law, run, whole, wide


def matrix(target, step_size, monkeypatch):
    """[from, to] of the kernel itself: its proposal's probability times the acceptance that its step reports."""
    at, kernel = truth(target), DMALA(TARGETS[target].sites, step_size)
    with jax.enable_x64(True):
        energy, xs = wide(at.energy), jnp.asarray(at.states, jnp.float64)
        states = jax.vmap(lambda x: kernel.init(energy, x))(xs)

        def acceptance(state, drawn):  # the proposal made to be this one
            monkeypatch.setattr(dmala, "categorical", lambda key, logits: drawn)
            return kernel.step(jax.random.key(0), energy, state)[1].acceptance

        codes = jnp.asarray(at.codes)
        accepted = np.asarray(jax.vmap(jax.vmap(acceptance, (None, 0)), (0, None))(states, codes))
        q = whole(jax.vmap(kernel.proposal)(states), at.codes)
    found = q * accepted
    np.fill_diagonal(found, found.diagonal() + 1.0 - found.sum(1))
    return found, q, at


@pytest.mark.parametrize("target", TARGETS)
def test_detailed_balance_to_rounding(target, monkeypatch):
    for step_size in (0.3, 2.0):
        found, q, at = matrix(target, step_size, monkeypatch)
        np.testing.assert_allclose(q.sum(1), 1.0, atol=1e-12)
        flow = at.probabilities[:, None] * found
        np.testing.assert_allclose(flow, flow.T, atol=1e-13)
        np.testing.assert_allclose(at.probabilities @ found, at.probabilities, atol=1e-13)


@pytest.mark.parametrize("target", ["glass", "curved", "potts"])
def test_a_reverse_proposal_of_the_old_state_is_caught(target, monkeypatch):
    right = DMALA.proposal
    seen = []

    def stale(self, state):
        seen.append(right(self, state))
        return seen[-1] if len(seen) % 2 else seen[-2]

    monkeypatch.setattr(DMALA, "proposal", stale)
    before, after = run(DMALA(TARGETS[target].sites, 1.0), truth(target), runner=fresh)
    with pytest.raises(AssertionError, match="judge_law"):
        judge_law(before, after, truth(target))


def test_no_test_is_caught(monkeypatch):
    monkeypatch.setattr(dmala, "uniform", lambda key: jnp.zeros(()))
    before, after = run(DMALA(TARGETS["bits"].sites, 1.0), truth("bits"), runner=fresh)
    with pytest.raises(AssertionError, match="judge_law"):
        judge_law(before, after, truth("bits"))


def test_warm_up_tunes_the_step():
    target = TARGETS["glass"]
    sampler = DMALA(target.sites, 0.1)
    chains = init_chains(sampler, target.energy, jnp.ones((200, 5)))
    sampler, chains = warm_up(jax.random.key(0), sampler, target.energy, chains, 300, 0.8)
    assert float(sampler.step_size) > 0.1


def test_refusals():
    with pytest.raises(ValueError, match=r"DMALA.step_size must be > 0; got 0"):
        DMALA(TARGETS["glass"].sites, 0.0)
