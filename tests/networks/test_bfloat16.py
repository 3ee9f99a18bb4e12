"""bfloat16 where it is promised and nowhere else: values, gradients, the program's products, what training reaches."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import NetworkEnergy, standard_normal
from energax.networks import MLP, Bfloat16, ConvNet, ResNet
from judges import refuses

KEY = jax.random.key(0)
NETS = {
    "mlp": (MLP(6, 16, 2, zero_last=False, key=KEY), (6,)),
    "mlp, fourier": (MLP(6, 16, 2, fourier=4, zero_last=False, key=KEY), (6,)),
    "conv": (ConvNet((8, 8, 1), (4, 8), zero_last=False, key=KEY), (8, 8, 1)),
    "resnet": (ResNet((8, 8, 1), (4, 8), zero_last=False, key=KEY), (8, 8, 1)),
}


def rows(shape, num=64):
    return jax.random.normal(jax.random.key(1), (num, *shape))


def relative(a, b):
    return float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b))


@pytest.mark.parametrize("name", NETS)
def test_values_and_gradients_are_those_of_the_network_but_for_rounding(name):
    net, shape = NETS[name]
    coarse, xs = Bfloat16(net), rows(shape)
    both = [jax.vmap(jax.value_and_grad(f))(xs) for f in (coarse, net)]
    assert {a.dtype.name for a in jax.tree.leaves(both)} == {"float32"}
    values, slopes = ([each[part] for each in both] for part in (0, 1))
    assert 1e-4 < relative(*values) < 0.02  # rounded, and no more than eight bits' worth
    assert 1e-4 < relative(*slopes) < 0.05


@pytest.mark.parametrize("name", NETS)
def test_weights_and_their_gradients_are_float32(name):
    net, shape = NETS[name]

    def loss(net, xs):
        return jnp.mean(jax.vmap(net)(xs))

    coarse, fine = eqx.filter_grad(loss)(Bfloat16(net), rows(shape)).net, eqx.filter_grad(loss)(net, rows(shape))
    for a, b in zip(*(jax.tree.leaves(eqx.filter(g, eqx.is_inexact_array)) for g in (coarse, fine)), strict=True):
        assert a.dtype == b.dtype == jnp.float32
        assert relative(a, b) < 0.2  # a bias of a convolution sums over all pixels


def products(net, x):
    """Types of what is multiplied in the program, in their order."""
    found = []

    def walk(program):
        for equation in program.eqns:
            if "dot" in equation.primitive.name or "conv_forward" in equation.primitive.name:
                found.append({each.aval.dtype.name for each in equation.invars})
            for inner in equation.params.values():
                if hasattr(inner, "jaxpr"):
                    walk(inner.jaxpr)

    walk(jax.make_jaxpr(net)(x).jaxpr)
    return found


def test_every_product_but_the_heads_is_of_bfloat16():
    net, shape = NETS["mlp"]
    assert products(Bfloat16(net), jnp.ones(shape)) == [{"bfloat16"}, {"bfloat16"}, {"float32"}]
    assert products(net, jnp.ones(shape)) == [{"float32"}] * 3  # the walk sees what it is to see


def test_energies_are_known_to_more_than_eight_bits():
    net = NETS["mlp"][0]
    energy = NetworkEnergy(Bfloat16(net), standard_normal(6))
    values = np.asarray(jax.vmap(energy)(30.0 + 0.01 * rows((6,), 256)))
    assert len(np.unique(values)) > 200
    rounded = np.asarray(jnp.asarray(values).astype(jnp.bfloat16), np.float32)  # the planted bug: the head rounded too
    assert len(np.unique(rounded)) < 20


def test_training_reaches_the_same_loss():
    net = MLP(2, 32, 2, zero_last=False, key=KEY)
    xs = rows((2,), 256)

    @eqx.filter_jit
    def fit(net):
        weights, rest = eqx.partition(net, eqx.is_inexact_array)

        def loss(weights):
            f = eqx.combine(weights, rest)
            return jnp.mean((jax.vmap(f)(xs) - jnp.sin(2.0 * xs[:, 0]) * xs[:, 1]) ** 2)

        def step(weights, _):
            value, slope = jax.value_and_grad(loss)(weights)
            return jax.tree.map(lambda w, g: w - 0.05 * g, weights, slope), value

        return jax.lax.scan(step, weights, length=400)[1]

    coarse, fine = np.asarray(fit(Bfloat16(net))), np.asarray(fit(net))
    assert fine[-1] < 0.3 * fine[0]
    assert coarse[-1] < 1.3 * fine[-1]


def test_refuses_what_is_no_network():
    with refuses("must be an MLP, a ConvNet or a ResNet; got function"):
        Bfloat16(lambda x: x)
