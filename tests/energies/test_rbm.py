"""Restricted Boltzmann machines: brute force over both layers, reference values, exact samples, the path for AIS."""

import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from energax.energies import (
    BernoulliRBM,
    IndependentBits,
    RBMPath,
    bars_and_stripes,
    bars_and_stripes_rbm,
    enumerate_exact,
    rbm_exact,
    rbm_samples,
)
from energax.free_energy import ais, bracket, reverse_ais
from energax.samplers import BlockGibbs

# the sum over all 2^16 joint states in double precision, by another program
MEAN_V = [0.8395859098, 0.1984309265, 0.738496046534, 0.297868271229, 0.715571309]
MEAN_H = [0.8237519917, 0.3458213201, 0.2406775763, 0.4394136948, 0.721432158, 0.7769854163]


def reference(visible=10, hidden=6, scale=1.5):
    """W_ij = 1.5 sin(1 + 3i + 5j), b_i = 0.5 cos 2i, c_j = 0.4 sin(1 + j), kept to double precision where x64 is on."""
    i, j = np.arange(visible), np.arange(hidden)
    weights = scale * np.sin(1 + 3 * i[:, None] + 5 * j[None])
    biases = 0.5 * np.cos(2.0 * i), 0.4 * np.sin(1.0 + j)
    return BernoulliRBM(*(jnp.asarray(a, jnp.result_type(float)) for a in (weights, *biases)))


def joint_table(rbm):
    """(v, h, E) over all joint states, by the textbook sum in double precision."""
    w, b, c = (np.asarray(a, np.float64) for a in (rbm.weights, rbm.visible_bias, rbm.hidden_bias))
    w = w * float(rbm.weight_scale)
    v = np.array(list(itertools.product((0.0, 1.0), repeat=len(b))))
    h = np.array(list(itertools.product((0.0, 1.0), repeat=len(c))))
    return v, h, float(rbm.offset) - (v @ b)[:, None] - (h @ c)[None, :] - v @ w @ h.T


def judge_conditionals(rbm):
    """Joint, free energy and both conditionals are those of the table of all joint states."""
    v, h, energy = joint_table(rbm)
    vs, hs = jnp.asarray(v, jnp.float32), jnp.asarray(h, jnp.float32)
    found = jax.vmap(lambda v: jax.vmap(lambda h: rbm.joint(v, h))(hs))(vs)
    np.testing.assert_allclose(found, energy, atol=2e-5)
    np.testing.assert_allclose(jax.vmap(rbm)(vs), -np.logaddexp.reduce(-energy, 1), atol=2e-5)
    np.testing.assert_allclose(jax.vmap(rbm.hidden_free_energy)(hs), -np.logaddexp.reduce(-energy, 0), atol=2e-5)
    given_v = np.exp(-energy - np.logaddexp.reduce(-energy, 1)[:, None])
    np.testing.assert_allclose(jax.nn.sigmoid(jax.vmap(rbm.hidden_given)(vs)), given_v @ h, atol=1e-5)
    given_h = np.exp(-energy - np.logaddexp.reduce(-energy, 0)[None, :])
    np.testing.assert_allclose(jax.nn.sigmoid(jax.vmap(rbm.visible_given)(hs)), given_h.T @ v, atol=1e-5)


SMALL = reference(4, 3)


@pytest.mark.parametrize("beta", [1.0, 0.4, 0.0])
def test_everything_is_the_table_of_joint_states(beta):
    rbm = BernoulliRBM(SMALL.weights, SMALL.visible_bias, SMALL.hidden_bias, 0.7).at_beta(beta)
    judge_conditionals(rbm)
    np.testing.assert_allclose(joint_table(rbm)[2], beta * (joint_table(SMALL)[2] + 0.7), atol=1e-5)


class Wrong(BernoulliRBM):
    bug: str = "none"

    def __init__(self, rbm, bug):
        super().__init__(rbm.weights, rbm.visible_bias, rbm.hidden_bias)
        self.bug = bug

    def free_energy(self, v):
        sound = super().free_energy(v)
        if self.bug == "log 2 a unit":
            return sound + 3 * math.log(2.0)
        return sound - jnp.sum(self.visible_bias * v) if self.bug == "bias twice" else sound

    def hidden_given(self, v):
        sound = super().hidden_given(v)
        return {"sign": -sound, "no bias": sound - self.hidden_bias}.get(self.bug, sound)

    def visible_given(self, h):
        sound = super().visible_given(h)
        return 2 * sound if self.bug == "twice" else sound


def test_tempering_twice_and_turning_keep_the_joint_energy():
    machine = BernoulliRBM(SMALL.weights, SMALL.visible_bias, SMALL.hidden_bias, 0.7)
    v, h = jnp.array([1.0, 0.0, 1.0, 1.0]), jnp.array([0.0, 1.0, 1.0])
    twice = machine.at_beta(0.5).at_beta(1.5)
    np.testing.assert_allclose(twice.joint(v, h), 0.75 * machine.joint(v, h), rtol=1e-6)
    np.testing.assert_allclose(twice.transposed().joint(h, v), 0.75 * machine.joint(v, h), rtol=1e-6)
    wanted = BernoulliRBM(0.75 * machine.weights, twice.visible_bias, twice.hidden_bias, 0.75 * 0.7)
    np.testing.assert_allclose(twice(v), wanted(v), rtol=1e-6)
    np.testing.assert_allclose(twice.hidden_free_energy(h), wanted.hidden_free_energy(h), rtol=1e-6)


@pytest.mark.parametrize("bug", ["log 2 a unit", "bias twice", "sign", "no bias", "twice"])
def test_the_judge_of_conditionals_catches(bug):
    judge_conditionals(Wrong(SMALL, "none"))
    with pytest.raises(AssertionError):
        judge_conditionals(Wrong(SMALL, bug))


def test_reference_machine():
    with jax.enable_x64(True):
        rbm = reference()
        exact, turned = rbm_exact(rbm), rbm_exact(rbm.transposed())
        over_v = enumerate_exact(rbm, 10, (0.0, 1.0))
        np.testing.assert_allclose(exact.log_z, 15.437397655636833, rtol=1e-12)
    np.testing.assert_allclose(exact.energy, -9.399071782045773, rtol=1e-12)
    np.testing.assert_allclose(exact.visible[:5], MEAN_V, atol=1e-10)
    np.testing.assert_allclose(exact.hidden, MEAN_H, atol=1e-10)
    np.testing.assert_allclose(exact.products[[0, 9], [0, 5]], [0.7635750055250746, 0.39735609621502016], rtol=1e-12)
    # the other layer, the same answers turned round; and the sum over all v of the free energy
    np.testing.assert_allclose(turned.log_z, exact.log_z, rtol=1e-13)
    np.testing.assert_allclose(turned.products, exact.products.T, rtol=1e-12)
    np.testing.assert_allclose(over_v.log_z, exact.log_z, rtol=1e-12)
    np.testing.assert_allclose(over_v.entropy, 4.38963163585849, rtol=1e-11)
    np.testing.assert_allclose(over_v.mean, exact.visible, rtol=1e-12)


@pytest.mark.parametrize(
    ("alpha", "log_z", "valid"),
    [(8.0, 7.15358747858536, 0.608730149352407), (16.0, 10.651252031420036, 0.9882107488468289)],
)
def test_pattern_machine(alpha, log_z, valid):
    rbm = bars_and_stripes_rbm(alpha)
    exact = rbm_exact(rbm)
    np.testing.assert_allclose(exact.log_z, log_z, rtol=1e-11)
    np.testing.assert_allclose(exact.visible, 0.5, rtol=1e-12)
    weight = jnp.sum(jnp.exp(-jax.vmap(rbm)(bars_and_stripes()) - exact.log_z))
    np.testing.assert_allclose(weight, valid, rtol=2e-5)


@pytest.mark.parametrize(("size", "count"), [(2, 6), (3, 14), (4, 30)])
def test_all_bars_and_stripes_and_each_once(size, count):
    found = np.asarray(bars_and_stripes(size)).reshape(-1, size, size)
    assert len(found) == count == len(np.unique(found, axis=0))
    whole = [np.all(grid == grid[:1]) or np.all(grid == grid[:, :1]) for grid in found]
    assert all(whole)


def test_a_pattern_machine_counts_differing_bits():
    # the joint sum by its formula in Hamming distances, which no weight or bias enters
    v = np.array(list(itertools.product((0.0, 1.0), repeat=9)))
    distance = np.sum(v[:, None] != np.asarray(bars_and_stripes())[None], axis=-1)
    free = -np.sum(np.logaddexp(0.0, 3.0 * (0.5 - distance)), axis=1)
    np.testing.assert_allclose(jax.vmap(bars_and_stripes_rbm(3.0))(jnp.asarray(v, jnp.float32)), free, atol=2e-5)


def test_products_are_the_gradient_of_log_z():
    # the likelihood's gradient in W needs <v h>: finite differences of the exact log Z
    step = 1e-4

    def log_z(shift):
        with jax.enable_x64(True):
            w = jnp.asarray(np.asarray(SMALL.weights, np.float64)).at[2, 1].add(shift)
            b, c = (jnp.asarray(np.asarray(a, np.float64)) for a in (SMALL.visible_bias, SMALL.hidden_bias))
            return rbm_exact(BernoulliRBM(w, b, c)).log_z

    slope = (log_z(step) - log_z(-step)) / (2 * step)
    np.testing.assert_allclose(rbm_exact(SMALL).products[2, 1], slope, rtol=1e-6)


def judge_draws(draws, table, states):
    """Chi squared of draws (rows of bits) against exact probabilities of `states`; false-fail rate 1e-6."""
    index = np.asarray(draws) @ (2 ** np.arange(states.shape[1]))
    order = (states @ (2 ** np.arange(states.shape[1]))).astype(int)
    counts = np.bincount(index.astype(int), minlength=len(order))[order]
    expected = len(draws) * table
    chi = np.sum((counts - expected) ** 2 / expected)
    df = len(order) - 1
    assert abs(chi - df) < 5.5 * np.sqrt(2 * df), chi


def test_draws_of_all_kinds_have_their_laws(key):
    v, h, energy = joint_table(SMALL)
    log_z = np.logaddexp.reduce(-energy, None)
    p = np.exp(-energy - log_z)
    judge_draws(rbm_samples(key, SMALL, 40_000), p.sum(1), v)
    judge_draws(rbm_samples(key, SMALL.transposed(), 40_000), p.sum(0), h)
    keys = jax.random.split(key, 40_000)
    given_v = jax.vmap(lambda k: SMALL.sample_hidden(k, jnp.asarray(v[6], jnp.float32)))(keys)
    judge_draws(given_v, p[6] / p[6].sum(), h)
    given_h = jax.vmap(lambda k: SMALL.sample_visible(k, jnp.asarray(h[5], jnp.float32)))(keys)
    judge_draws(given_h, p[:, 5] / p[:, 5].sum(), v)
    with pytest.raises(AssertionError):
        judge_draws(given_h, p[:, 4] / p[:, 4].sum(), v)


@pytest.mark.optimised
def test_twenty_units_are_summed_in_blocks(key):
    # hidden biases alone differ from unit to unit: log Z = 3 log 2 + sum log(1 + exp(c)), for 2^20 states
    bias = jnp.linspace(-1.0, 1.0, 20)
    rbm = BernoulliRBM(jnp.zeros((30, 20)), jnp.zeros(30), bias)
    exact = rbm_exact(rbm)
    np.testing.assert_allclose(exact.log_z, 30 * np.log(2) + np.sum(np.logaddexp(0, np.asarray(bias))), rtol=1e-6)
    np.testing.assert_allclose(exact.hidden, jax.nn.sigmoid(bias), rtol=1e-5)
    np.testing.assert_allclose(exact.products, np.full((30, 1), 0.5) * exact.hidden, rtol=1e-9)


def test_exact_samples_of_isolated_modes(key):
    # 14 modes of nearly equal mass; a draw lies on a mode with probability .988
    exact, found = bars_and_stripes_rbm(16.0), rbm_samples(key, bars_and_stripes_rbm(16.0), 14_000)
    table = np.asarray(jax.vmap(exact)(bars_and_stripes()), np.float64)
    p = np.exp(-table - rbm_exact(exact).log_z)
    counts = np.array([np.sum(np.all(np.asarray(found) == one, axis=1)) for one in np.asarray(bars_and_stripes())])
    assert np.all(np.abs(counts - 14_000 * p) < 5.0 * np.sqrt(14_000 * p * (1 - p)))


# --- the path ---


class BasePath(RBMPath):
    """The base's own normaliser forgotten: the machine at s = 0 as it stands."""

    def at(self, s):
        rbm = super().at(s)
        return eqx.tree_at(lambda rbm: rbm.offset, rbm, rbm.offset + 0.5 * (1.0 - s))


class SlowPath(RBMPath):
    """Stops short of the target."""

    def at(self, s):
        return super().at(0.95 * s)


def path(kind=RBMPath):
    rbm = reference()
    machine = BernoulliRBM(rbm.weights, rbm.visible_bias, rbm.hidden_bias, 2.5)  # log Z falls by 2.5
    return kind(IndependentBits(jnp.linspace(-1.0, 1.5, 10)), machine)


OPTIONS = {"num_temperatures": 100, "schedule": "linear", "pilot_chains": 0}


def test_the_ends_of_the_path_and_its_middle():
    vs = jnp.asarray(np.random.default_rng(0).integers(0, 2, (50, 10)), jnp.float32)
    np.testing.assert_allclose(jax.vmap(path().at(0.0))(vs), jax.vmap(path().base.energy())(vs), atol=1e-5)
    np.testing.assert_array_equal(jax.vmap(path().at(1.0))(vs), jax.vmap(path().target)(vs))
    # joint energies are linear in s, hence mean of the ends in the middle for every (v, h)
    h = jnp.array([1.0, 0.0, 1.0, 1.0, 0.0, 0.0])
    ends = [jax.vmap(lambda v, s=s: path().at(s).joint(v, h))(vs) for s in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(ends[1], 0.5 * (ends[0] + ends[2]), atol=1e-5)
    np.testing.assert_allclose(rbm_exact(path().at(0.0)).log_z, 0.0, atol=1e-6)


def test_base_rates_of_data():
    data = jnp.array([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    np.testing.assert_allclose(IndependentBits.of_data(data).logits, np.log([4.0, 2.0 / 3.0]), rtol=1e-6)
    base = IndependentBits(jnp.array([-1.0, 0.5]))
    every = jnp.array(list(itertools.product((0.0, 1.0), repeat=2)))
    np.testing.assert_allclose(jnp.sum(jnp.exp(jax.vmap(base.log_prob)(every))), 1.0, rtol=1e-6)


def test_ais_along_the_path_brackets_the_exact_log_z(key):
    log_z = 15.437397655636833 - 2.5
    up = ais(key, path(), BlockGibbs(), num_chains=1000, **OPTIONS)
    down = reverse_ais(key, path(), BlockGibbs(), rbm_samples(key, path().target, 1000), start="exact", **OPTIONS)
    assert float(up.std_error) < 0.02
    assert abs(float(up.log_z) - log_z) < 4 * float(up.std_error)
    assert abs(float(down.log_z) - log_z) < 4 * float(down.std_error)
    assert bracket(up, down, width=3.0).contains(log_z)


def judge_first_weight(path):
    """At s near 0 the weight of leaving the base is near 1: what goes wrong with constants of the base shows there."""
    vs = jax.vmap(path.base.sample)(jax.random.split(jax.random.key(0), 100))
    gap = jax.vmap(lambda v: path.at(1e-4)(v) - path.base.energy()(v))(vs)
    assert float(jnp.max(jnp.abs(gap))) < 1e-2


def test_planted_bugs_of_the_path_are_caught(key):
    judge_first_weight(path())
    with pytest.raises(AssertionError):
        judge_first_weight(path(BasePath))
    up = ais(key, path(SlowPath), BlockGibbs(), num_chains=1000, **OPTIONS)
    assert abs(float(up.log_z) - 12.937397655636833) > 10 * float(up.std_error)


@pytest.fixture
def no_shape_hook():
    """What a user sees: outside the tests nothing checks types but the doors."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("no_shape_hook")
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: BernoulliRBM(jnp.zeros(3), jnp.zeros(3), jnp.zeros(1)), "weights must be floating, of shape"),
        (lambda: BernoulliRBM(jnp.zeros((3, 2)), jnp.zeros(2), jnp.zeros(2)), r"visible_bias must have shape \(3,\)"),
        (lambda: BernoulliRBM(jnp.zeros((3, 2)), jnp.zeros(3), jnp.zeros(3)), r"hidden_bias must have shape \(2,\)"),
        (lambda: BernoulliRBM(jnp.full((3, 2), jnp.nan), jnp.zeros(3), jnp.zeros(2)), "weights must be finite"),
        (lambda: SMALL(jnp.zeros(5)), r"v must be ONE sample of shape \(4,\)"),
        (lambda: SMALL.at_beta(-1.0), "beta must be >= 0"),
        (lambda: bars_and_stripes(1), "size must be 2 to 10; got 1"),
        (lambda: bars_and_stripes_rbm(0.0), "alpha must be > 0"),
        (lambda: rbm_exact(BernoulliRBM(jnp.zeros((21, 22)), jnp.zeros(21), jnp.zeros(22))), "1 to 20; got 21"),
        (lambda: jax.jit(lambda r: rbm_exact(r).log_z)(SMALL), "outside jit"),
        (lambda: rbm_exact(IndependentBits(jnp.zeros(2))), "must be a machine with hidden bits"),
        (lambda: rbm_samples(jax.random.key(0), SMALL, 0), "num must be an integer >= 1"),
        (lambda: RBMPath(IndependentBits(jnp.zeros(3)), SMALL), "must have as many bits as the machine, 4; got 3"),
        (lambda: IndependentBits(jnp.zeros((3, 1))), "logits must be floating"),
    ],
)
def test_refusals(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
