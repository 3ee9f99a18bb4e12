"""Block Gibbs against the enumerated free energy, tempered and in fields, with bugs that the judges catch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import AbstractBipartiteEnergy, FunctionEnergy
from energax.energies import BernoulliRBM, Gaussian, GaussianRBM, Hopfield, PottsRBM
from energax.evaluation import every_sample, exactness, probabilities, transition_matrix
from energax.samplers import BITS, CATEGORIES, BlockGibbs, advance, init_chains, sample
from enumerated import fresh, judge_law, judge_movement, judge_reversible, run, space
from judges import reach

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


FIELD = normal(5)
SUMMED = {  # by hand: beta * (F(v) - c . v), and F_beta(v) - c . v
    "beta * rbm": (0.6 * RBM, lambda v: 0.6 * RBM(v)),
    "colder": (1.7 * RBM, lambda v: 1.7 * RBM(v)),
    "given": (RBM.given(FIELD), lambda v: RBM(v) - FIELD @ v),
    "beta, then given": ((0.6 * RBM).given(FIELD), lambda v: 0.6 * (RBM(v) - FIELD @ v)),
    "at_beta, then given": (RBM.at_beta(0.6).given(FIELD), lambda v: RBM.at_beta(0.6)(v) - FIELD @ v),
}


@pytest.mark.parametrize("name", SUMMED)
def test_tempered_and_conditioned_machines_are_met_exactly(name):
    """Every random decision enumerated: pi P = pi for the law that is summed up by hand."""
    energy, by_hand = SUMMED[name]
    xs = every_sample(BITS, jnp.ones(5))
    found = transition_matrix(BlockGibbs(), energy, xs)
    judged = exactness(found.matrix, probabilities(FunctionEnergy(by_hand), xs))
    assert judged.rows < 1e-12
    assert judged.invariance < 1e-7  # the energy by hand is summed in float32
    assert judged.reversibility < 1e-7
    assert judged.connected
    wrong = exactness(found.matrix, probabilities(RBM, xs))
    assert wrong.invariance > 1e-3


def test_a_field_and_a_temperature_for_every_chain():
    """Chains of a condition each, under beta * rbm, against exact means of every bit."""
    fields = 2.0 * normal(4, 5)
    xs = every_sample(BITS, jnp.ones(5))
    energy, cond = 0.6 * RBM, jnp.repeat(fields, 2500, axis=0)
    start = jnp.zeros((10_000, 5))
    chains = init_chains(BlockGibbs(), energy, start, cond)
    ends, info = advance(jax.random.key(3), BlockGibbs(), energy, chains, 60, cond)
    means = np.asarray(ends.states.x, np.float64).reshape(4, 2500, 5).mean(axis=1)
    for field, mean in zip(fields, means, strict=True):
        exact = probabilities(FunctionEnergy(lambda v, field=field: 0.6 * (RBM(v) - field @ v)), xs) @ np.asarray(xs)
        assert np.all(np.abs(mean - exact) < reach(20) * np.sqrt(exact * (1 - exact) / 2500))
    assert 0.5 < float(jnp.mean(info.acceptance)) < 0.999


def test_the_other_machines_take_fields_too():
    one_hot, spins = jax.nn.one_hot(jnp.array([0, 2, 1]), 3), jnp.array([1.0, -1.0, 1.0, 1.0])
    potts = SPACES["one-hot"].energy
    hopfield = Hopfield(jnp.array([[1.0, 1.0, -1.0, 1.0]]), 1.5, 0.2).at_beta(0.7)
    for model, x in ((potts, one_hot), (hopfield, spins)):
        field = normal(*x.shape)
        closed = model.given(field)
        assert isinstance(closed, AbstractBipartiteEnergy)
        np.testing.assert_allclose(closed(x), model(x) - jnp.sum(field * x), rtol=1e-5)
        np.testing.assert_allclose(model(x, field), closed(x), rtol=1e-6)
        assert model.given(None) is model


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: RBM.given(jnp.ones(())), r"BernoulliRBM: cond must be a field .* of shape \(5,\); got shape \(\)"),
        (lambda: RBM(jnp.ones(5), jnp.ones(3)), r"BernoulliRBM: cond must be .*; got shape \(3,\)"),
        (lambda: SPACES["one-hot"].energy.given(jnp.ones(3)), r"PottsRBM: cond .* \(3, 3\); got shape \(3,\)"),
        (lambda: Hopfield(jnp.ones((1, 3))).given(jnp.ones(2)), r"Hopfield: cond .* \(3,\); got shape \(2,\)"),
        (
            lambda: GaussianRBM(normal(3, 2), jnp.zeros(3), jnp.zeros(2)).given(jnp.ones(3)),
            r"GaussianRBM: cond must be None; got shape \(3,\)\. A field c .* variances \* c",
        ),
    ],
)
def test_conditions_that_do_not_fit_are_refused(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


@pytest.mark.parametrize("wrong", [RBM + RBM, 0.5 * (RBM + RBM), Gaussian(jnp.zeros(5), 1.0)])
def test_refuses_what_is_not_bipartite(wrong):
    with pytest.raises(ValueError, match=r"an AbstractBipartiteEnergy, .* beta \* such a one; got (Sum|Gaussian)"):
        init_chains(BlockGibbs(), wrong, jnp.zeros((2, 5)))
    chains = init_chains(BlockGibbs(), RBM, jnp.zeros((2, 5)))
    with pytest.raises(ValueError, match="BlockGibbs: energy must be"):
        advance(jax.random.key(0), BlockGibbs(), wrong, chains, 1)
