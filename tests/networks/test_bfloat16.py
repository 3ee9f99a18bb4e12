"""bfloat16 where it is promised and nowhere else: values, gradients, the program's products, what training reaches."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import NetworkEnergy, standard_normal
from energax.networks import MLP, Bfloat16, ConvNet, ResNet
from energax.networks.bfloat16 import _rounded
from energax.samplers import MALA, init_chains, sample
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
            if equation.primitive.name in ("dot_general", "energax_conv"):
                found.append({each.aval.dtype.name for each in equation.invars})
            for inner in equation.params.values():
                if hasattr(inner, "jaxpr"):
                    walk(inner.jaxpr)

    walk(jax.make_jaxpr(net)(x).jaxpr)
    return found


@pytest.mark.parametrize(("name", "num"), [("mlp", 2), ("mlp, fourier", 2), ("conv", 2), ("resnet", 6)])
def test_every_product_but_the_heads_is_of_bfloat16(name, num):
    net, shape = NETS[name]
    found, plain = (products(f, jnp.ones(shape)) for f in (Bfloat16(net), net))
    first = [{"float32"}] * (name == "mlp, fourier")  # the features are no part of the body
    assert found == [*first, *[{"bfloat16"}] * num, {"float32"}]
    assert plain == [{"float32"}] * len(found)  # the walk sees what it is to see


@pytest.mark.parametrize("name", NETS)
def test_values_are_known_to_more_than_eight_bits(name):
    net, shape = NETS[name]
    xs = rows(shape, 256)

    def coarse_share(f):
        values = jax.vmap(f)(xs).astype(jnp.float32)
        return float(jnp.mean(values == values.astype(jnp.bfloat16).astype(jnp.float32)))

    assert coarse_share(Bfloat16(net)) < 0.05
    assert coarse_share(lambda x: jax.tree.map(_rounded, net)(x)) == 1.0  # the planted bug: the head rounded too


def test_differences_between_neighbours_are_rough():
    net = MLP(2, 64, 2, zero_last=False, key=KEY)
    xs = rows((2,), 512)
    scale = float(jnp.std(jax.vmap(net)(xs)))
    for step in (1e-3, 1e-1):
        ends = xs + step * jax.random.normal(jax.random.key(2), xs.shape)
        coarse, fine = (jax.vmap(lambda a, b, f=f: f(a) - f(b))(ends, xs) for f in (Bfloat16(net), net))
        assert 1e-3 < float(jnp.std(coarse - fine)) / scale < 1e-2


def test_metropolis_accepts_as_it_would_in_float32():
    net = MLP(2, 64, 2, zero_last=False, key=KEY)

    def acceptance(f):
        energy = NetworkEnergy(f, standard_normal(2))
        chains = init_chains(MALA(0.3), energy, rows((2,), 500))
        return float(sample(jax.random.key(3), MALA(0.3), energy, chains, 50)[1].acceptance.mean())

    coarse, fine = acceptance(Bfloat16(net)), acceptance(net)
    assert abs(coarse - fine) < 0.01  # 25,000 moves of the same noise
    assert abs(acceptance(lambda x: 100.0 * (Bfloat16(net)(x) - net(x)) + net(x)) - fine) > 0.03  # roughness of a nat


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
