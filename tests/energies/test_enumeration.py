"""Enumeration against sums written out, for spins, bits and one-hot states; what it refuses."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import FunctionEnergy
from energax.energies import Ising, enumerate_exact, enumerate_log_z
from energax.energies.enumeration import one_hot_blocks, state_blocks
from judges import refuses


def test_spins_are_the_sum_over_the_spins():
    energy = Ising(jnp.array([[0, 1], [1, 2]]), jnp.array([0.5, -0.75]), jnp.array([0.25, 0.0, -1.0]))
    exact = enumerate_exact(energy, 3, observe=lambda x: x[:, 0] * x[:, 2])
    states = [np.array(s) for s in itertools.product((-1.0, 1.0), repeat=3)]
    values = [-0.5 * s[0] * s[1] + 0.75 * s[1] * s[2] - 0.25 * s[0] + s[2] for s in states]
    log_z = math.log(math.fsum(math.exp(-v) for v in values))
    p = np.exp(-np.array(values) - log_z)
    np.testing.assert_allclose(exact.log_z, log_z, rtol=1e-14)
    np.testing.assert_allclose(exact.energy, p @ values, rtol=1e-13)
    np.testing.assert_allclose(exact.energy_variance, p @ np.square(values) - (p @ values) ** 2, rtol=1e-12)
    np.testing.assert_allclose(exact.entropy, -(p @ np.log(p)), rtol=1e-13)
    np.testing.assert_allclose(exact.mean, p @ np.stack(states), rtol=1e-13)
    np.testing.assert_allclose(exact.observed, sum(q * s[0] * s[2] for q, s in zip(p, states, strict=True)), rtol=1e-12)
    np.testing.assert_allclose(enumerate_log_z(energy), log_z, rtol=1e-14)


def test_independent_bits_and_categories_over_several_blocks():
    bias = jnp.linspace(-1.0, 2.0, 16)
    bits = enumerate_exact(FunctionEnergy(jax.tree_util.Partial(lambda b, x: -jnp.sum(b * x), bias)), 16, (0.0, 1.0))
    wide = np.asarray(bias, np.float64)
    np.testing.assert_allclose(bits.log_z, np.sum(np.log1p(np.exp(wide))), rtol=1e-13)
    np.testing.assert_allclose(bits.mean, 1 / (1 + np.exp(-wide)), rtol=1e-12)
    logits = jnp.arange(30.0).reshape(10, 3) / 8.0
    many = enumerate_exact(FunctionEnergy(jax.tree_util.Partial(lambda b, x: -jnp.sum(b * x), logits)), 10, 3)
    rows = np.asarray(logits, np.float64)
    np.testing.assert_allclose(many.log_z, np.sum(np.log(np.exp(rows).sum(1))), rtol=1e-13)
    np.testing.assert_allclose(many.mean, np.exp(rows) / np.exp(rows).sum(1, keepdims=True), rtol=1e-12)
    assert many.observed is None


def test_blocks_hold_every_state_once():
    spins = np.concatenate(list(state_blocks(15)))
    assert spins.shape == (2**15, 15)
    assert len(np.unique(spins, axis=0)) == 2**15
    kinds = np.concatenate(list(one_hot_blocks(9, 3)))
    assert kinds.shape == (3**9, 9, 3)
    np.testing.assert_array_equal(kinds.sum(2), 1.0)
    assert len(np.unique(kinds.argmax(2), axis=0)) == 3**9


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: enumerate_exact(Ising.lattice((21,), 1.0), 21), "must number 1 to 20; got 21"),
        (lambda: enumerate_exact(Ising.lattice((4,), 1.0), 13, 3), r"must number at most 2\^20; got 3\^13"),
        (lambda: enumerate_exact(Ising.lattice((4,), 1.0), 4, 1), "states must be an integer >= 2; got 1"),
        (lambda: enumerate_exact(Ising.lattice((4,), 1.0), 0), "sites must be an integer >= 1"),
        (lambda: enumerate_exact(lambda x: 2.0 * x, 3), "must map ONE sample to a scalar"),
        (lambda: enumerate_log_z(3.0), "enumerate_log_z.energy must be an Ising model; got float"),
        (lambda: jax.jit(lambda e: enumerate_exact(e, 3).log_z)(Ising.lattice((3,), 1.0)), "outside jit"),
    ],
)
def test_refusals(make, sentence):
    with refuses(sentence):
        make()
