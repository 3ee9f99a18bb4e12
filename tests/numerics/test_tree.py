"""Arithmetic on pytrees against the flat vector."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.numerics import add_scaled, all_finite, dot, global_norm, normal_like, squared_norm, where

TREE = {"a": jnp.arange(3.0), "b": (jnp.ones((2, 2)), jnp.array(7, jnp.int32))}


def test_norms_are_those_of_the_flat_vector_of_inexact_leaves():
    assert float(squared_norm(TREE)) == 9.0
    assert float(global_norm(TREE)) == 3.0
    assert float(dot(TREE, TREE)) == 9.0
    assert float(squared_norm({})) == 0.0


def test_narrow_leaves_are_accumulated_in_float32():
    narrow = jnp.ones(4096, jnp.bfloat16)
    assert squared_norm({"a": narrow, "b": jnp.ones(1)}).dtype == jnp.float32
    assert float(squared_norm(narrow)) == 4096.0


def test_noise_of_a_tree_is_the_noise_of_the_flat_vector():
    key = jax.random.key(0)
    tree = normal_like(key, {"a": jnp.zeros(3), "b": jnp.zeros((2, 2))})
    flat = normal_like(key, jnp.zeros(7))
    np.testing.assert_allclose(np.concatenate([tree["a"], tree["b"].ravel()]), flat, rtol=1e-6)


def test_noise_keeps_dtypes_and_refuses_integers():
    assert normal_like(jax.random.key(0), jnp.zeros(2, jnp.bfloat16)).dtype == jnp.bfloat16
    with pytest.raises(ValueError, match="every leaf must be floating point; got int32"):
        normal_like(jax.random.key(0), TREE)


def test_choice_and_sum():
    other = jax.tree.map(jnp.zeros_like, TREE)
    jax.tree.map(np.testing.assert_array_equal, where(jnp.array(True), TREE, other), TREE)
    jax.tree.map(np.testing.assert_array_equal, where(jnp.array(False), TREE, other), other)
    np.testing.assert_array_equal(add_scaled(jnp.ones(2, jnp.bfloat16), jnp.float32(2.0), jnp.ones(2)), 3 * np.ones(2))
    assert add_scaled(jnp.ones(2, jnp.bfloat16), jnp.float32(2.0), jnp.ones(2)).dtype == jnp.bfloat16


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, -jnp.inf])
def test_all_finite_sees_one_bad_entry(bad):
    assert bool(all_finite(TREE))
    assert not bool(all_finite(TREE | {"a": jnp.array([0.0, bad])}))
