"""Networks: names, sizes, what is trained, refusals."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import ConfigError
from energax.networks import ACTIVATIONS, MLP, ConvNet, Decode, FourierFeatures, ResNet, silu


def test_silu_and_its_first_two_derivatives_are_the_textbooks():
    x = jnp.linspace(-12.0, 12.0, 201)
    ours, textbook = silu, lambda x: x / (1.0 + jnp.exp(-x))
    for _ in range(3):
        np.testing.assert_allclose(jax.vmap(ours)(x), jax.vmap(textbook)(x), atol=2e-6)
        ours, textbook = jax.grad(ours), jax.grad(textbook)


def test_mlp_is_its_formula(key):
    net = MLP(3, 5, 2, activation="tanh", zero_last=False, key=key)
    x = jnp.array([0.1, -0.5, 2.0])
    h = x
    for layer in net.layers:
        h = jnp.tanh(layer.weight.T @ h + layer.bias)
    np.testing.assert_allclose(net(x), net.head.weight[:, 0] @ h + net.head.bias[0], rtol=1e-5)


def test_mlp_is_one_matrix_product_a_layer(key):
    net = MLP(3, 8, 2, zero_last=False, key=key)
    text = str(jax.make_jaxpr(jax.vmap(net))(jnp.ones((7, 3))))
    assert text.count("dot_general") == 3
    # and no batch dimension in any: ((contracting), (batch)) = ((1), (0)), ((), ())
    assert text.count("dimension_numbers=(([1], [0]), ([], []))") == 3


def test_fourier_frequencies_are_out_of_reach_of_training(key):
    net = MLP(2, 4, 1, fourier=6, fourier_scale=4.0, key=key)
    assert net.features.frequencies.shape == (2, 6)
    assert 1.0 < float(net.features.frequencies.std()) < 9.0
    assert not any(leaf is net.features.bits for leaf in jax.tree.leaves(eqx.filter(net, eqx.is_inexact_array)))
    features = FourierFeatures(1, 1, 1.0, key=key)
    w = features.frequencies[0, 0]
    x = jnp.array([0.7])
    np.testing.assert_allclose(features(x), [0.7, 2**0.5 * jnp.cos(0.7 * w), 2**0.5 * jnp.sin(0.7 * w)], rtol=1e-5)


def test_vector_heads(key):
    x = jnp.ones(16)
    for net in (
        MLP(16, 4, 1, out_size=3, zero_last=False, key=key),
        ConvNet((4, 4, 1), (2,), out_size=3, zero_last=False, key=key),
        ResNet((4, 4, 1), (2,), out_size=3, zero_last=False, key=key),
    ):
        assert jax.eval_shape(net, x).shape == (3,)


def test_image_nets_take_flat_and_shaped(key):
    x = jax.random.normal(key, (5, 4, 2))
    for net in (
        ConvNet((5, 4, 2), (3, 4), zero_last=False, key=key),
        ResNet((5, 4, 2), (3, 4), zero_last=False, key=key),
    ):
        value = eqx.filter_jit(net)
        assert value(x) == value(x.reshape(-1)) != 0


def test_decode_diagonal_and_full():
    z = jnp.array([1.0, 2.0])
    np.testing.assert_allclose(Decode(jnp.ones(2), jnp.array([2.0, 3.0]))(z), [3.0, 7.0])
    np.testing.assert_allclose(Decode(jnp.ones(2), jnp.array([[2.0, 0.0], [1.0, 3.0]]))(z), [3.0, 8.0])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_smooth_at_zero(name):
    f = ACTIVATIONS[name]
    second = jax.grad(jax.grad(f))
    np.testing.assert_allclose(second(1e-4), second(-1e-4), atol=1e-3)


MAKERS = {
    "MLP": lambda name, key: MLP(2, 4, 1, activation=name, key=key),
    "ConvNet": lambda name, key: ConvNet((4, 4, 1), (2,), activation=name, key=key),
    "ResNet": lambda name, key: ResNet((4, 4, 1), (2,), activation=name, key=key),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_an_unknown_activation_is_refused_with_the_nearest(make, key):
    with pytest.raises(ConfigError, match=r"got 'sulu'\. Did you mean 'silu'\?"):
        make("sulu", key)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda k: MLP(0, 4, 1, key=k), "MLP.in_size must be an integer >= 1"),
        (lambda k: MLP(2, 4, 0, key=k), "MLP.depth must be an integer >= 1"),
        (lambda k: MLP(2, 4, 1, fourier=2, fourier_scale=0.0, key=k), "MLP.fourier_scale must be > 0"),
        (lambda k: MLP(2, 4, 1, key=jax.random.PRNGKey(0)), "MLP: key must be one typed key"),
        (lambda k: MLP(2, 4, 1, key=k)(jnp.zeros(3)), r"ONE sample of shape \(2,\); got shape \(3,\)"),
        (lambda k: ConvNet((4, 4), (2,), key=k), r"ConvNet.shape must be \(height, width, channels\)"),
        (lambda k: ConvNet((4, 4, 1), (), key=k), "ConvNet.channels must name"),
        (lambda k: ConvNet((4, 4, 1), (2, 2), strides=(1,), key=k), "ConvNet.strides must have 2 entries"),
        (lambda k: ConvNet((4, 4, 1), (2,), key=k)(jnp.zeros(15)), "ConvNet: x must be ONE image"),
        (lambda k: ResNet((4, 4, 1), (2,), blocks=0, key=k), "ResNet.blocks must be an integer >= 1"),
        (lambda k: Decode(jnp.zeros(2), jnp.zeros(2)), "Decode.factor must be > 0"),
        (lambda k: Decode(jnp.zeros(2), jnp.ones(3)), "Decode.factor must have shape"),
        (lambda k: Decode(jnp.zeros(4), jnp.ones(4), (3, 1, 1)), "Decode.shape must hold 4 numbers"),
    ],
)
def test_refuses(make, message, key):
    with pytest.raises(ValueError, match=message):
        make(key)
