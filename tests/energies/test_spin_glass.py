"""Sherrington-Kirkpatrick, Edwards-Anderson and the random energy model: exact moments of Z over the disorder."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import (
    RandomEnergy,
    curie_weiss_exact,
    edwards_anderson,
    enumerate_exact,
    enumerate_log_z,
    lattice_edges,
    rem_limit,
    sherrington_kirkpatrick,
    sk_high_temperature,
    sk_log_mean_z,
)
from energax.energies.enumeration import state_blocks
from energax.samplers.sites import SPINS
from judges import reach

SITES, BETA = 10, 0.6
KEYS = jax.random.split(jax.random.key(3), 4000)


def sk_log_zs(scale=1.0, sites=SITES, beta=BETA):
    """log Z of many draws of the disorder, each by enumeration."""
    weights = np.asarray(jax.jit(jax.vmap(lambda k: sherrington_kirkpatrick(k, sites, beta).weights))(KEYS), np.float64)
    spins = np.concatenate(list(state_blocks(sites)))[: 1 << (sites - 1)]  # the last spin down: the rest by symmetry
    pairs = np.triu_indices(sites, 1)
    logs = scale * weights[:, pairs[0], pairs[1]] @ (spins[:, pairs[0]] * spins[:, pairs[1]]).T
    return np.logaddexp.reduce(logs, axis=1) + math.log(2.0)


def judge_disorder(log_z):
    """E[Z] and E[Z^2] over the disorder, the second being a Curie-Weiss sum over the overlap of two replicas."""
    ratio = np.exp(log_z - sk_log_mean_z(SITES, BETA))
    overlaps = curie_weiss_exact(SITES, BETA**2).log_z - SITES * math.log(2) - 0.5 * BETA**2
    for values, exact in ((ratio, 1.0), (ratio**2, math.exp(overlaps))):
        z = (values.mean() - exact) / (values.std(ddof=1) / math.sqrt(len(values)))
        assert abs(z) < reach(), z


def test_moments_of_z_over_the_disorder():
    judge_disorder(sk_log_zs())


@pytest.mark.parametrize("scale", [math.sqrt(0.5), math.sqrt(SITES / (SITES - 1)), 2.0])
def test_the_judge_of_the_disorder_catches(scale):
    # pairs counted at half, couplings of N - 1, pairs counted twice
    with pytest.raises(AssertionError):
        judge_disorder(sk_log_zs(scale))


def test_log_z_scatters_as_the_high_temperature_theorem_says():
    found, sites, beta = sk_high_temperature(0.5), SITES, 0.5
    log_z = sk_log_zs(sites=sites, beta=beta)
    # the limit is reached up to corrections of order 1 / N of the scatter
    off = log_z.mean() - sites * found.log_z - found.shift
    assert abs(off) < reach() * math.sqrt(found.variance / len(KEYS)) + 1e-3
    np.testing.assert_allclose(log_z.var(), found.variance, rtol=0.25)
    assert log_z.mean() < sk_log_mean_z(sites, beta)


def test_one_key_is_one_disorder():
    key = jax.random.key(0)
    cold, hot = sherrington_kirkpatrick(key, 6, 2.0), sherrington_kirkpatrick(key, 6, 1.0, 0.25)
    np.testing.assert_allclose(cold.weights, 2.0 * hot.weights, rtol=1e-6)
    np.testing.assert_array_equal(hot.biases, 0.25)
    x = jnp.array([1.0, -1.0, 1.0, 1.0, -1.0, 1.0])
    pairs = sum(float(hot.weights[i, j] * x[i] * x[j]) for i in range(6) for j in range(i))
    np.testing.assert_allclose(hot(x), -pairs - 0.25 * 2.0, rtol=1e-5)


def test_edwards_anderson_is_an_ising_model_of_random_couplings():
    energy = edwards_anderson(jax.random.key(0), (8, 8, 8), 0.5)
    np.testing.assert_array_equal(energy.pairs, lattice_edges((8, 8, 8)))
    strengths = np.asarray(energy.strengths) / 0.5
    assert abs(strengths.mean()) < 4 / math.sqrt(len(strengths))
    assert abs(strengths.std() - 1) < 4 / math.sqrt(2 * len(strengths))
    # on a tree disorder does not matter but for its size: Z = 2 prod 2 cosh J
    chain = edwards_anderson(jax.random.key(1), (9,), periodic=False)
    exact = math.log(2) + np.sum(np.log(2 * np.cosh(np.asarray(chain.strengths, np.float64))))
    np.testing.assert_allclose(enumerate_log_z(chain), exact, rtol=1e-12)


def test_random_levels_are_looked_up_and_linear_in_every_spin():
    energy = RandomEnergy.draw(jax.random.key(0), 5, 1.5)
    xs = jnp.asarray(np.concatenate(list(state_blocks(5))), jnp.float32)
    np.testing.assert_allclose(jax.jit(jax.vmap(energy))(xs), energy.levels, rtol=1e-6)
    logits = np.asarray(jax.jit(jax.vmap(lambda x: SPINS.logits(x, jax.grad(energy)(x))))(xs))
    levels = np.asarray(energy.levels)
    for code in range(32):
        for i in range(5):
            change = levels[code] - levels[code ^ (1 << i)]
            np.testing.assert_allclose(logits[code, i, 1 - ((code >> i) & 1)], change, atol=1e-5)


def test_random_levels_have_exact_log_z_and_samples():
    energy = RandomEnergy.draw(jax.random.key(1), 5, 1.0)
    exact = enumerate_exact(energy, 5)
    np.testing.assert_allclose(energy.log_z(), exact.log_z, rtol=1e-6)
    num = 20_000
    xs = np.asarray(jax.jit(jax.vmap(energy.sample))(jax.random.split(jax.random.key(2), num)))
    codes = (xs > 0) @ (1 << np.arange(5))
    p = np.exp(-np.asarray(energy.levels, np.float64) - exact.log_z)
    counts = np.bincount(codes, minlength=32)
    assert np.sum((counts - num * p) ** 2 / (num * p)) < 31 + 5 * math.sqrt(62)
    np.testing.assert_allclose(energy.log_prob(jnp.asarray(xs[0])), math.log(p[codes[0]]), rtol=1e-5)


def judge_levels(draw):
    """E[Z] and E[Z^2] over the levels: log-normal sums."""
    sites, beta = 8, 0.7
    levels = np.asarray(jax.jit(jax.vmap(lambda k: draw(k, sites, beta).levels))(KEYS[:2000]), np.float64)
    ratio = np.exp(np.logaddexp.reduce(-levels, axis=1) - sites * rem_limit(beta).log_z)
    second = 1 + 2.0**-sites * math.expm1(beta**2 * sites / 2)
    for values, exact in ((ratio, 1.0), (ratio**2, second)):
        z = (values.mean() - exact) / (values.std(ddof=1) / math.sqrt(len(values)))
        assert abs(z) < reach(), z


def test_moments_of_z_over_the_levels():
    judge_levels(RandomEnergy.draw)


@pytest.mark.parametrize("scale", [math.sqrt(2.0), 0.9])
def test_the_judge_of_the_levels_catches(scale):
    with pytest.raises(AssertionError):
        judge_levels(lambda key, sites, beta: RandomEnergy.draw(key, sites, scale * beta))


def test_the_limit_of_random_levels_and_its_freezing():
    frozen = 2 * math.sqrt(math.log(2))
    below, above = rem_limit(frozen - 1e-9), rem_limit(frozen + 1e-9)
    np.testing.assert_allclose(below, above, atol=1e-8)
    for beta in (0.5, 1.2, 2.5):
        step = 1e-5
        slope = (rem_limit(beta + step).log_z - rem_limit(beta - step).log_z) / (2 * step)
        np.testing.assert_allclose(rem_limit(beta).energy, -beta * slope, rtol=1e-8)
        np.testing.assert_allclose(rem_limit(beta).entropy, rem_limit(beta).log_z + rem_limit(beta).energy, atol=1e-12)
        finite = RandomEnergy.draw(jax.random.key(0), 18, beta).log_z() / 18
        np.testing.assert_allclose(finite, rem_limit(beta).log_z, rtol=0.002 if beta < 1 else 0.06)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: sherrington_kirkpatrick(KEYS[0], 1), "sites must be an integer >= 2; got 1"),
        (lambda: sherrington_kirkpatrick(KEYS[0], 4, -1.0), "beta must be >= 0"),
        (lambda: sk_high_temperature(1.0), "beta must be < 1, above the glass transition; got 1.0"),
        (lambda: sk_log_mean_z(10, -0.1), "beta must be >= 0"),
        (lambda: edwards_anderson(KEYS[0], (3,), math.nan), "beta must be >= 0"),
        (lambda: RandomEnergy(jnp.zeros(3)), r"levels must be of shape \(2\^N,\); got shape \(3,\)"),
        (lambda: RandomEnergy(jnp.zeros(4, int)), "levels must hold floating numbers"),
        (lambda: RandomEnergy(jnp.array([0.0, jnp.inf])), "levels must be finite"),
        (lambda: RandomEnergy.draw(KEYS[0], 21), "must number 1 to 20; got 21"),
        (lambda: RandomEnergy(jnp.zeros(4))(jnp.ones(3)), "x must be ONE sample"),
        (lambda: rem_limit(-1.0), "beta must be >= 0"),
    ],
)
def test_refusals(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
