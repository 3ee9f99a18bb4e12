"""Block Gibbs against the enumerated free energy, with bugs that the judges catch; and the refusal of `beta * rbm`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import BernoulliRBM, PottsRBM
from energax.samplers import BITS, CATEGORIES, BlockGibbs, advance, init_chains, sample
from enumerated import fresh, judge_law, judge_movement, judge_reversible, run, space

rng = np.random.default_rng(2)


THREE = jax.nn.one_hot(jnp.zeros(3, int), 3)


def normal(*shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


RBM = BernoulliRBM(1.5 * normal(5, 3), normal(5), normal(3))
SPACES = {
    "bits, beta 0.6": space(RBM.at_beta(0.6), BITS, jnp.ones(5)),
    "bits, beta 1.4": space(RBM.at_beta(1.4), BITS, jnp.ones(5)),
    "one-hot": space(
        PottsRBM(normal(3, 3, 2), normal(3, 3), normal(2)), CATEGORIES, jax.nn.one_hot(jnp.zeros(3, int), 3)
    ),
}


@pytest.mark.parametrize("name", SPACES)
def test_leaves_the_visible_law_invariant_and_is_reversible(name):
    before, after = run(BlockGibbs(), SPACES[name], num_steps=2)
    judge_law(before, after, SPACES[name])
    judge_reversible(before, after, SPACES[name])
    judge_movement(before, after, SPACES[name])


def caught(truth, wrong, runner=fresh):
    with pytest.raises(AssertionError, match="judge_law"):
        judge_law(*run(BlockGibbs(), truth._replace(energy=wrong), runner=runner, num_steps=2), truth)


def test_bugs_are_caught():
    truth = SPACES["bits, beta 0.6"]
    caught(truth, RBM)  # beta forgotten
    caught(truth, BernoulliRBM(0.6 * RBM.weights, RBM.visible_bias, RBM.hidden_bias))  # beta in the weights alone
    tempered = space(0.6 * RBM, BITS, jnp.ones(5))
    caught(tempered, RBM.at_beta(0.6))  # at_beta is not beta * rbm


def test_one_key_for_both_layers_is_caught(monkeypatch):
    truth = SPACES["bits, beta 1.4"]
    monkeypatch.setattr(jax.random, "split", lambda key, num=2: [key, key])
    caught(truth, truth.energy)


def test_draws_carry_their_energy_and_a_non_finite_start_is_flagged():
    chains = init_chains(BlockGibbs(), RBM, jnp.zeros((7, 5)))
    chains, draws = sample(jax.random.key(0), BlockGibbs(), RBM, chains, 3, thin=2)
    assert draws.x.shape == (7, 3, 5)
    np.testing.assert_allclose(draws.energy[:, -1], jax.vmap(RBM)(chains.states.x), rtol=1e-6)
    stuck, info = jax.jit(lambda key, x: BlockGibbs().step(key, RBM, BlockGibbs().init(RBM, x)))(
        jax.random.key(0), jnp.full(5, jnp.inf)
    )
    assert bool(info.divergent)
    assert float(info.acceptance) == 0.0
    assert np.all(np.isinf(stuck.x))


@pytest.mark.parametrize("wrong", [0.5 * RBM, RBM + RBM, RBM.given(jnp.ones(()))])
def test_refuses_what_is_not_bipartite(wrong):
    with pytest.raises(ValueError, match=r"AbstractBipartiteEnergy; got .*rbm.at_beta\(beta\)"):
        init_chains(BlockGibbs(), wrong, jnp.zeros((2, 5)))
    chains = init_chains(BlockGibbs(), RBM, jnp.zeros((2, 5)))
    with pytest.raises(ValueError, match=r"rbm.at_beta\(beta\)"):
        advance(jax.random.key(0), BlockGibbs(), wrong, chains, 1)
