"""The bilinear maps against the platform's own convolution and addition, to second order and under every vmap."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from energax.networks import add_bias, conv, convolution

KEY = jax.random.key(3)
X, W = jax.random.normal(KEY, (5, 4, 2)), jax.random.normal(jax.random.fold_in(KEY, 1), (3, 3, 2, 3))
XS, WS = jax.random.normal(KEY, (3, *X.shape)), jax.random.normal(KEY, (3, *W.shape))


def reference(x, w, stride):
    pads = ((w.shape[0] // 2,) * 2,) * 2
    return lax.conv_general_dilated(x[None], w, (stride,) * 2, pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))[0]


def scalar(f, stride):
    return lambda x, w: jnp.sum(jnp.sin(f(x, w, stride)))


LAWS = {
    "value": lambda f: f(X, W),
    "gradients": lambda f: jax.grad(f, (0, 1))(X, W),
    "forward": lambda f: jax.jvp(f, (X, W), (X + 1, W - 1)),
    "forward over reverse": lambda f: jax.jvp(jax.grad(f, (0, 1)), (X, W), (X + 1, W - 1)),
    "reverse over reverse": lambda f: jax.grad(
        lambda x, w: sum(jnp.sum(jnp.cos(g)) for g in jax.grad(f, (0, 1))(x, w)), (0, 1)
    )(X, W),
    "vmap images": lambda f: jax.vmap(jax.grad(f), (0, None))(XS, W),
    "vmap kernels": lambda f: jax.vmap(jax.grad(f, (0, 1)), (None, 0))(X, WS),
    "vmap both": lambda f: jax.vmap(jax.grad(f, (0, 1)))(XS, WS),
    "gradient of each": lambda f: jax.vmap(jax.grad(f, 1), (0, None))(XS, W),
    "gradient of all": lambda f: jax.grad(lambda w: jnp.mean(jax.vmap(f, (0, None))(XS, w)))(W),
    "vmap last axis": lambda f: jax.vmap(f, (3, None))(jnp.moveaxis(XS, 0, 3), W),
    "vmap twice": lambda f: jax.vmap(jax.vmap(f, (0, None)), (None, 0))(XS, WS),
}


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("law", LAWS)
def test_is_the_convolution(law, stride):
    ours, theirs = (jax.jit(lambda f=f: LAWS[law](scalar(f, stride)))() for f in (conv, reference))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4), ours, theirs)


def with_bias(add):
    """x -> a smooth function of x and of the first entries of w, taken as one bias a channel."""
    return lambda x, w: jnp.sum(jnp.sin(x * add(x, w[0, 0, :, 0])))


@pytest.mark.parametrize("law", LAWS)
def test_a_bias_is_an_addition(law):
    ours, theirs = (jax.jit(lambda a=a: LAWS[law](with_bias(a)))() for a in (add_bias, lambda x, b: x + b[None, None]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5), ours, theirs)


def test_a_bias_gradient_over_images_is_one_product():
    grad = jax.make_jaxpr(jax.grad(lambda b: jnp.sum(jax.vmap(add_bias, (0, None))(XS, b) ** 2)))(jnp.ones(2))
    products = [e for e in grad.eqns if e.primitive.name == "dot_general"]
    assert [e.outvars[0].aval.shape for e in products] == [(1, 2)]


@pytest.mark.parametrize(("size", "k", "stride"), [((8, 8), 3, 3), ((7, 9), 5, 2), ((1, 1), 3, 1), ((2, 3), 1, 1)])
def test_other_sizes(size, k, stride):
    x, w = jax.random.normal(KEY, (*size, 2)), jax.random.normal(KEY, (k, k, 2, 4))
    np.testing.assert_allclose(conv(x, w, stride), reference(x, w, stride), rtol=1e-4, atol=1e-4)
    slopes = [jax.grad(scalar(f, stride), (0, 1))(x, w) for f in (conv, reference)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4), *slopes)


def test_images_are_folded_into_one_product():
    """A vmapped image is a row of one primitive, forward and backward: no convolution with a batch of kernels."""
    text = str(jax.make_jaxpr(jax.grad(lambda w: jnp.mean(jax.vmap(scalar(conv, 1), (0, None))(XS, w))))(W))
    assert text.count("energax_conv_kernel[") == 1
    assert text.count("energax_conv[") == 1


@pytest.mark.parametrize("stride", [1, 2])
def test_what_other_platforms_run_is_what_the_cpu_runs(stride):
    g = jax.random.normal(KEY, (3, *conv(X, W, stride).shape))
    inputs = {"size": X.shape[:2], "stride": stride}
    kernels = {"k": 3, "stride": stride}
    pairs = [
        (convolution._conv_product(XS, W, stride=stride, patches=True), convolution._conv_native(XS, W, stride=stride)),
        (convolution._conv_input_product(g, W, **inputs), convolution._conv_input_native(g, W, **inputs)),
        (convolution._conv_kernel_product(XS, g, **kernels), convolution._conv_kernel_native(XS, g, **kernels)),
    ]
    for ours, native in pairs:
        np.testing.assert_allclose(ours, native, rtol=2e-4, atol=2e-4)
