"""Arithmetic on pytrees against the flat vector."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.numerics import add_scaled, all_finite, dot, global_norm, normal_like, scaled, squared_norm, where

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


def test_a_scale_is_a_number_or_a_tree_or_a_prefix():
    ones = {"a": jnp.ones(2), "b": (jnp.ones(2, jnp.bfloat16), jnp.ones((2, 2)))}
    for scale in (3.0, {"a": 3.0, "b": jnp.float32(3.0)}, jax.tree.map(lambda leaf: 3 * leaf, ones)):
        triple = scaled(scale, ones)
        assert jax.tree.map(lambda leaf: leaf.dtype, triple) == jax.tree.map(lambda leaf: leaf.dtype, ones)
        jax.tree.map(lambda leaf: np.testing.assert_array_equal(leaf, 3 * np.ones(leaf.shape)), triple)
        jax.tree.map(np.testing.assert_array_equal, add_scaled(ones, scale, ones), scaled(4.0, ones))
    assert float(scaled(2.0, 1.5)) == 3.0


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (jnp.ones(3), r"of a leaf's shape \(2,\); got shape \(3,\)"),
        ({"a": jnp.ones((2, 1))}, r"of a leaf's shape \(2,\); got shape \(2, 1\)"),
        ({"b": 1.0}, "must be a number or a tree like x"),
    ],
)
def test_a_scale_that_does_not_fit_is_refused(scale, message):
    with pytest.raises(ValueError, match=message):
        add_scaled({"a": jnp.ones(2)}, scale, {"a": jnp.ones(2)})
