"""The network energy: its base at step 0, its decoder, and what training may touch."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import GaussianMixture, NetworkEnergy, standard_normal
from energax.networks import MLP, ConvNet, Decode, ResNet

NETS = {
    "mlp": lambda key: MLP(16, 8, 2, fourier=2, key=key),
    "convnet": lambda key: ConvNet((4, 4, 1), (3, 4), key=key),
    "resnet": lambda key: ResNet((4, 4, 1), (3, 4), key=key),
}


@pytest.mark.parametrize("name", NETS)
def test_step_zero_is_the_base_exactly_and_then_learns(name, key):
    base = standard_normal(16)
    energy = NetworkEnergy(NETS[name](key), base)
    xs = jax.random.normal(key, (6, 16))
    np.testing.assert_array_equal(jax.vmap(energy)(xs), jax.vmap(base)(xs))
    slope = eqx.filter_grad(lambda e: jnp.mean(jax.vmap(e)(xs)))(energy)
    assert float(jnp.abs(slope.net.head.weight).max()) > 0


def test_decoder_puts_pixels_before_the_net_and_leaves_the_base_in_the_chain_coordinates(key):
    net = ConvNet((4, 4, 1), (3,), zero_last=False, key=key)
    mean, factor = jnp.linspace(0.0, 1.0, 16), jnp.tril(0.1 * jnp.ones((16, 16))) + jnp.eye(16)
    base, z = standard_normal(16), jax.random.normal(key, (16,))
    energy = NetworkEnergy(net, base, Decode(mean, factor, (4, 4, 1)))
    pixels = (mean + factor @ z).reshape(4, 4, 1)
    np.testing.assert_allclose(energy(z), base(z) + net(pixels), rtol=1e-5)


def test_base_and_decoder_have_no_gradient(key):
    base = GaussianMixture(jnp.zeros(2), jnp.ones((2, 3)), 1.0)
    energy = NetworkEnergy(MLP(3, 4, 1, zero_last=False, key=key), base, Decode(jnp.zeros(3), jnp.ones(3)))
    slope = eqx.filter_grad(lambda e: e(jnp.ones(3)))(energy)
    for part in (slope.base, slope.decode):
        assert all(not np.any(leaf) for leaf in jax.tree.leaves(part))
    # in x they have one
    full = jax.grad(energy)(jnp.ones(3))
    net = jax.grad(energy.net)(jnp.ones(3))
    np.testing.assert_allclose(full - net, jax.grad(base)(jnp.ones(3)), rtol=1e-4, atol=1e-5)


def test_refuses_a_vector(key):
    with pytest.raises(ValueError, match="to a scalar"):
        NetworkEnergy(MLP(2, 4, 1, out_size=3, key=key))(jnp.zeros(2))


@pytest.mark.parametrize(
    "make",
    [
        lambda net: NetworkEnergy(3.0),
        lambda net: NetworkEnergy(net, base=jnp.sum),
        lambda net: NetworkEnergy(net, decode=2),
    ],
)
def test_refuses_parts_of_another_kind(make, key):
    # a ValueError with a sentence for users; in the tests the type hook may speak first
    with pytest.raises((ValueError, TypeError)):
        make(MLP(2, 4, 1, key=key))
