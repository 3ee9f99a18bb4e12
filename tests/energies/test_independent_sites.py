"""Spins and categories without couplings: log Z and frequencies against enumeration, and as the base of a path."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import IndependentCategories, IndependentSpins, enumerate_exact
from energax.numerics.random import chain_keys

FIELDS = jnp.array([0.7, 0.0, -0.3])
LOGITS = jnp.array([[0.5, 0.0, -1.0], [0.0, 0.2, 0.1]])


def frequencies(base, num=20_000):
    return np.asarray(jnp.mean(jax.vmap(base.sample)(chain_keys(jax.random.key(0), num)), axis=0))


def test_spins_against_enumeration():
    base = IndependentSpins(FIELDS)
    exact = enumerate_exact(base, 3)
    np.testing.assert_allclose(base.log_z(), exact.log_z, rtol=1e-6)
    np.testing.assert_allclose(base.log_prob(jnp.ones(3)), 0.4 - exact.log_z, rtol=1e-5)
    off = frequencies(base) - np.tanh(np.asarray(FIELDS))
    assert np.all(np.abs(off) < 4.5 / np.sqrt(20_000))


def test_categories_against_their_softmax():
    base = IndependentCategories(LOGITS)
    np.testing.assert_allclose(base.log_z(), enumerate_exact(base, 2, states=3).log_z, rtol=1e-6)
    off = frequencies(base) - np.asarray(jax.nn.softmax(LOGITS))
    assert np.all(np.abs(off) < 4.5 * 0.5 / np.sqrt(20_000))


def test_a_sign_error_would_be_seen():
    wrong = frequencies(IndependentSpins(-FIELDS)) - np.tanh(np.asarray(FIELDS))
    assert np.max(np.abs(wrong)) > 20 / np.sqrt(20_000)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: IndependentSpins(jnp.array([jnp.nan])), "IndependentSpins.fields must be finite"),
        (lambda: IndependentSpins(jnp.zeros(2))(jnp.zeros(3)), "x must be ONE sample of shape"),
        (lambda: IndependentCategories(jnp.full((2, 2), jnp.inf)), "IndependentCategories.logits must be finite"),
        (lambda: IndependentCategories(jnp.zeros((2, 2)))(jnp.zeros((3, 2))), "x must be ONE sample of shape"),
    ],
)
def test_bad_arguments_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
