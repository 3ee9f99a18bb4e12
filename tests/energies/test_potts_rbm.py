"""The one-hot machine: brute force over both layers, its two-state form as a Bernoulli machine, draws, refusals."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import BernoulliRBM, PottsRBM, enumerate_exact, rbm_exact, rbm_samples

SITES, STATES, HIDDEN = 3, 3, 2
H = np.array(list(itertools.product((0.0, 1.0), repeat=HIDDEN)))
CODES = np.array(list(itertools.product(range(STATES), repeat=SITES)))
V = np.eye(STATES)[CODES]


def parameters():
    rng = np.random.default_rng(3)
    return 1.2 * rng.normal(size=(SITES, STATES, HIDDEN)), rng.normal(size=(SITES, STATES)), rng.normal(size=HIDDEN)


def machine():
    return PottsRBM(*(jnp.asarray(part, jnp.float32) for part in parameters()))


def textbook(beta=1.0):
    """E of every (v, h), one site at a time."""
    w, b, c = parameters()
    energy = np.zeros((len(V), len(H)))
    for (n, codes), (m, h) in itertools.product(enumerate(CODES), enumerate(H)):
        energy[n, m] = -c @ h - sum(b[i, a] + w[i, a] @ h for i, a in enumerate(codes))
    return beta * energy


def judge(rbm, beta=1.0):
    energy = textbook(beta)
    vs, hs = jnp.asarray(V, jnp.float32), jnp.asarray(H, jnp.float32)
    found = jax.vmap(lambda v: jax.vmap(lambda h: rbm.joint(v, h))(hs))(vs)
    np.testing.assert_allclose(found, energy, atol=2e-5)
    np.testing.assert_allclose(jax.vmap(rbm)(vs), -np.logaddexp.reduce(-energy, 1), atol=2e-5)
    p = np.exp(-energy - np.logaddexp.reduce(-energy, None))
    given_v = (p / p.sum(1, keepdims=True)) @ H
    np.testing.assert_allclose(jax.nn.sigmoid(jax.vmap(rbm.hidden_given)(vs)), given_v, atol=1e-5)
    given_h = np.tensordot((p / p.sum(0)).T, V, 1)
    np.testing.assert_allclose(jax.vmap(rbm.visible_mean)(hs), given_h, atol=1e-5)
    exact = rbm_exact(rbm)
    np.testing.assert_allclose(exact.log_z, np.logaddexp.reduce(-energy, None), rtol=1e-6)
    np.testing.assert_allclose(exact.energy, np.sum(p * energy), rtol=1e-5)
    np.testing.assert_allclose(exact.products, np.tensordot(V, p @ H, ((0,), (0,))), atol=1e-6)


@pytest.mark.parametrize("beta", [1.0, 0.3])
def test_everything_is_the_textbook_joint_energy(beta):
    rbm = machine().at_beta(beta)
    judge(rbm, beta)
    np.testing.assert_allclose(enumerate_exact(rbm, SITES, STATES).log_z, rbm_exact(rbm).log_z, rtol=1e-12)


@pytest.mark.parametrize("bug", ["states mixed up", "bias not tempered"])
def test_the_judge_catches(bug):
    sound = machine()
    weights = sound.weights[:, ::-1] if bug == "states mixed up" else 0.3 * sound.weights
    with pytest.raises(AssertionError):
        judge(PottsRBM(weights, sound.visible_bias, sound.hidden_bias), 1.0 if bug == "states mixed up" else 0.3)


def test_two_states_are_the_bernoulli_machine():
    # only differences between the states of a site count: W = W_1 - W_0, b = b_1 - b_0
    rng = np.random.default_rng(1)
    w, b, c = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((4, 2, 3), (4, 2), (3,)))
    bits = BernoulliRBM(w[:, 1] - w[:, 0], b[:, 1] - b[:, 0], c + w[:, 0].sum(0), -jnp.sum(b[:, 0]))
    potts = PottsRBM(w, b, c)
    np.testing.assert_allclose(rbm_exact(potts).log_z, rbm_exact(bits).log_z, rtol=1e-6)
    v = jnp.array([1, 0, 0, 1])
    np.testing.assert_allclose(potts(jax.nn.one_hot(v, 2)), bits(v.astype(jnp.float32)), rtol=1e-5)


def judge_draws(draws, p):
    codes = np.asarray(draws).argmax(2) @ STATES ** np.arange(SITES)[::-1]
    counts, expected = np.bincount(codes, minlength=len(p)), len(codes) * p
    chi = np.sum((counts - expected) ** 2 / expected)
    assert abs(chi - (len(p) - 1)) < 5.5 * np.sqrt(2 * (len(p) - 1)), chi


def test_draws(key):
    energy = textbook()
    p = np.exp(-energy - np.logaddexp.reduce(-energy, None))
    judge_draws(rbm_samples(key, machine(), 40_000), p.sum(1))
    h = jnp.asarray(H[1], jnp.float32)
    given = jax.vmap(lambda k: machine().sample_visible(k, h))(jax.random.split(key, 40_000))
    judge_draws(given, p[:, 1] / p[:, 1].sum())
    with pytest.raises(AssertionError):
        judge_draws(given, p[:, 2] / p[:, 2].sum())


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: PottsRBM(jnp.zeros((2, 3)), jnp.zeros((2, 3)), jnp.zeros(1)), "weights must be floating, of shape"),
        (lambda: PottsRBM(jnp.zeros((2, 3, 1)), jnp.zeros((2, 2)), jnp.zeros(1)), r"visible_bias must have shape"),
        (lambda: PottsRBM(jnp.zeros((2, 3, 1)), jnp.zeros((2, 3)), jnp.zeros(2)), r"hidden_bias must have shape \(1,"),
        (lambda: machine()(jnp.zeros((2, 3))), r"v must be ONE sample of shape \(3, 3\)"),
        (lambda: machine().at_beta(-0.1), "beta must be >= 0"),
    ],
)
def test_refusals(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
