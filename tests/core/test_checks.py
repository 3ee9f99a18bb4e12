"""Bad calls are refused in one sentence, before anything compiles; good ones pass in silence."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies as st

from energax.core import checks

BAD = {
    "zero": (lambda: checks.positive("A", "h", 0.0), r"A\.h must be > 0; got 0\.0"),
    "negative": (lambda: checks.positive("A", "h", -1), r"A\.h must be > 0; got -1"),
    "nan": (lambda: checks.positive("A", "h", float("nan")), "must be > 0; got nan"),
    "infinite": (lambda: checks.positive("A", "h", np.inf), "must be > 0; got inf"),
    "text": (lambda: checks.positive("A", "h", "0.1"), "must be > 0; got '0.1'"),
    "none": (lambda: checks.positive("A", "h", None), "must be > 0; got None"),
    "boolean": (lambda: checks.positive("A", "h", True), "got the boolean True"),
    "one bad entry": (lambda: checks.positive("A", "h", np.array([1.0, -2.0])), "minimum -2.0"),
    "a row for one number": (
        lambda: checks.positive("A", "h", np.ones(3), ndim=0),
        r"A\.h must be one number; got shape \(3,\)",
    ),
    "a row for one fraction": (lambda: checks.fraction("A", "t", np.full(2, 0.5)), r"A\.t must be one number"),
    "a row for one finite number": (lambda: checks.finite("A", "x", np.ones((1,)), ndim=0), r"got shape \(1,\)"),
    "a row for one beta": (lambda: checks.non_negative("A", "beta", np.ones(2), ndim=0), "must be one number"),
    "empty array": (lambda: checks.positive("A", "h", np.zeros(0)), "must be > 0"),
    "negative beta": (lambda: checks.non_negative("A", "beta", -0.5), r"must be >= 0; got -0\.5"),
    "one is no open fraction": (lambda: checks.fraction("A", "t", 1.0), r"must lie in \(0, 1\); got 1\.0"),
    "not finite": (lambda: checks.finite("A", "x", np.array([0.0, np.nan])), "must be finite"),
    "count of a float": (lambda: checks.count("A", "n", 3.0), r"must be an integer >= 1; got 3\.0"),
    "count too small": (lambda: checks.count("A", "n", 0), "must be an integer >= 1; got 0"),
    "count of a boolean": (lambda: checks.count("A", "n", True), "must be an integer >= 1; got True"),
    "samples of a list": (lambda: checks.samples("A", "x", [1.0]), "must be an array with samples on axis 0; got list"),
    "samples of text": (lambda: checks.samples("A", "x", np.array(["a"])), "must hold real numbers"),
    "samples of objects": (lambda: checks.samples("A", "x", np.array([None])), "must hold real numbers"),
    "complex samples": (lambda: checks.samples("A", "x", np.ones(2, complex)), "must hold real numbers"),
    "a number is no stack": (lambda: checks.samples("A", "x", np.float32(1.0)), "must have rank >= 1"),
    "wrong rank": (lambda: checks.samples("A", "x", np.ones((2, 2)), ndim=1), "must have rank 1"),
    "no samples": (lambda: checks.samples("A", "x", np.ones((0, 2))), r"at least 1 sample\(s\); got shape \(0, 2\)"),
    "no columns": (lambda: checks.samples("A", "x", np.ones((2, 0))), "at least 1 sample"),
    "nan sample": (lambda: checks.samples("A", "x", jnp.array([[0.0, jnp.nan]])), r"got nan at index \(0, 1\)"),
    "energy of shape (1,)": (lambda: checks.scalar_energy("A", (1,)), r"scalar \(shape \(\)\); got shape \(1,\)"),
    "old key": (lambda: checks.typed_key("A", jax.random.PRNGKey(0)), "must be one typed key"),
    "no key": (lambda: checks.typed_key("A", None), "must be one typed key.*got NoneType"),
    "many keys": (lambda: checks.typed_key("A", jax.random.split(jax.random.key(0), 2)), "must be one typed key"),
    "seed for key": (lambda: checks.typed_key("A", 0), "must be one typed key.*got int"),
}


@pytest.mark.parametrize(("call", "words"), BAD.values(), ids=BAD)
def test_refused_in_a_sentence_at_once(call, words):
    began = time.perf_counter()
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert time.perf_counter() - began < 1.0  # some calls make their bad key or array first
    assert "\n" not in str(caught.value)


def test_good_values_pass():
    checks.positive("A", "h", 1e-30)
    checks.positive("A", "h", jnp.array(0.1), ndim=0)
    checks.positive("A", "h", np.ones(3))
    checks.non_negative("A", "beta", 0)
    checks.fraction("A", "t", np.float32(0.5))
    checks.count("A", "n", np.int64(3))
    checks.samples("A", "x", np.ones((1, 2), np.int8), ndim=2)
    checks.samples("A", "x", jnp.ones((1, 2), jnp.bfloat16))
    checks.typed_key("A", jax.random.key(0))
    checks.scalar_energy("A", ())


def test_traced_values_pass_through():
    def inside(h, x):
        checks.positive("A", "h", h)
        checks.samples("A", "x", x)
        return h * x

    assert jnp.isnan(jax.jit(inside)(jnp.array(-1.0), jnp.array([jnp.nan]))).all()


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_every_float_is_taken_or_refused_as_it_should(value):
    wanted = {"positive": value > 0, "non_negative": value >= 0, "finite": True, "fraction": 0 < value < 1}
    for name, holds in wanted.items():
        if np.isfinite(value) and holds:
            getattr(checks, name)("A", "v", value)
        else:
            with pytest.raises(ValueError, match=r"A\.v must"):
                getattr(checks, name)("A", "v", value)
