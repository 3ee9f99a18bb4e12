"""Gibbs with gradients: its own transition matrix in double precision, and what the gradient is worth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contracts.discrete import TARGETS, truth
from energax.core import FunctionEnergy
from energax.samplers import SPINS, GibbsWithGradients, advance, gibbs_with_gradients, init_chains
from enumerated import fresh, judge_law, judge_movement, run, wide


def matrix(target, monkeypatch):
    """[from, to] of the kernel itself: its proposal's probability times the acceptance that its step reports."""
    at, kernel = truth(target), GibbsWithGradients(TARGETS[target].sites)
    with jax.enable_x64(True):
        energy, xs = wide(at.energy), jnp.asarray(at.states, jnp.float64)
        states = jax.vmap(lambda x: kernel.init(energy, x))(xs)
        q = np.exp(jax.vmap(kernel.proposal)(states))

        def acceptance(state, move):  # the proposal made to be this one
            monkeypatch.setattr(gibbs_with_gradients, "categorical", lambda key, logits: move[None])
            return kernel.step(jax.random.key(0), energy, state)[1].acceptance

        moves = jnp.arange(q[0].size, dtype=jnp.int32)
        accepted = np.asarray(jax.vmap(jax.vmap(acceptance, (None, 0)), (0, None))(states, moves))
    size, (sites, kinds) = len(at.states), q[0].shape
    found = np.zeros((size, size))
    for i, codes in enumerate(at.codes):
        for site in range(sites):
            for kind in range(kinds):
                if kind != codes[site]:
                    to = i + (kind - codes[site]) * kinds**site
                    found[i, to] += q[i, site, kind] * accepted[i, site * kinds + kind]
    np.fill_diagonal(found, 1.0 - found.sum(1))
    return found, q, at


@pytest.mark.parametrize("target", TARGETS)
def test_detailed_balance_to_rounding(target, monkeypatch):
    found, q, at = matrix(target, monkeypatch)
    np.testing.assert_allclose(q.sum((1, 2)), 1.0, atol=1e-12)
    assert np.all(found >= -1e-15)
    flow = at.probabilities[:, None] * found
    np.testing.assert_allclose(flow, flow.T, atol=1e-13)
    np.testing.assert_allclose(at.probabilities @ found, at.probabilities, atol=1e-13)


@pytest.mark.parametrize("target", ["glass", "curved", "potts"])
def test_a_forgotten_normaliser_is_caught(target, monkeypatch):
    """For linear energies it makes the ratio 1: every proposal accepted."""
    right = GibbsWithGradients.proposal

    def bare(self, state):
        return right(self, state) + jax.nn.logsumexp(0.5 * self.sites.logits(state.x, state.gradient))

    monkeypatch.setattr(GibbsWithGradients, "proposal", bare)
    before, after = run(GibbsWithGradients(TARGETS[target].sites), truth(target), runner=fresh)
    with pytest.raises(AssertionError, match="judge_law"):
        judge_law(before, after, truth(target))


def test_a_reverse_proposal_of_the_old_state_stands_still(monkeypatch):
    """There the way back is to stay, which is never proposed: the law holds, the judge of movement sees it."""
    right, seen = GibbsWithGradients.proposal, []

    def stale(self, state):
        seen.append(right(self, state))
        return seen[-1] if len(seen) % 2 else seen[-2]

    monkeypatch.setattr(GibbsWithGradients, "proposal", stale)
    before, after = run(GibbsWithGradients(TARGETS["glass"].sites), truth("glass"), runner=fresh)
    with pytest.raises(AssertionError, match="judge_movement"):
        judge_movement(before, after, truth("glass"))


def test_a_chain_finds_the_few_sites_that_matter():
    """200 spins of which 5 are to be turned: by the gradient in a step each, blindly in hundreds."""
    field = jnp.full(200, 6.0)
    energy = FunctionEnergy(lambda x: -jnp.sum(field * x))
    start = jnp.ones((4, 200)).at[:, ::40].set(-1.0)
    kernel = GibbsWithGradients(SPINS)
    chains, _ = advance(jax.random.key(0), kernel, energy, init_chains(kernel, energy, start), 7)
    assert float(chains.states.x.min()) == 1.0
