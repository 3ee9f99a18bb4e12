"""The energies that the laws of `test_energies.py` are run over: adding one adds one line."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from energax.core import AbstractEnergy, FunctionEnergy
from energax.energies import (
    Banana,
    BernoulliRBM,
    BoltzmannMachine,
    BrownianMotion,
    ClassifierEnergy,
    CurieWeiss,
    DenseMemory,
    DoubleWell,
    EightSchools,
    EightSchoolsCentred,
    Funnel,
    Gaussian,
    GaussianMixture,
    GaussianRBM,
    Hopfield,
    IndependentCategories,
    IndependentSpins,
    Ising,
    LevelledEnergy,
    LogisticRegression,
    ManyWell,
    ModernHopfield,
    MuellerBrown,
    NetworkEnergy,
    Phi4Chain,
    Potts,
    PottsRBM,
    RandomEnergy,
    Rosenbrock,
    Seeds,
    SelfNormalised,
    five_points_posterior,
    gaussian_ring,
    gmm40,
    sherrington_kirkpatrick,
    standard_normal,
)
from energax.networks import MLP, ConvNet, Decode, ResNet

KEY = jax.random.key(11)
FACTOR = jnp.array([[1.5, 0.0], [-0.7, 0.4]])
FACTORS = jnp.stack([FACTOR, 0.5 * jnp.eye(2)])
MEANS = jnp.array([[-1.0, 0.5], [2.0, 1.0]])
EDGES = jnp.array([[0, 1], [1, 2], [0, 2]])
SIGNS = jnp.array([[1.0, -1.0, 1.0], [1.0, 1.0, -1.0]])
LOG_WEIGHTS = jnp.log(jnp.array([0.6, 1.9]))  # sums to 2.5: not normalised


class Case(NamedTuple):
    """How to make an energy, one sample of it, and where its mass lies."""

    make: Callable[[], AbstractEnergy]
    x: jax.Array
    box: tuple[tuple[float, float, int], ...] | None = None
    """(low, high, points) of every axis for quadrature; None where log Z is not known."""


def network(net, base: bool = True, decode: Decode | None = None) -> NetworkEnergy:
    return NetworkEnergy(net, standard_normal(net_size(net)) if base else None, decode)


def net_size(net) -> int:
    return net.in_size if isinstance(net, MLP) else net.shape[0] * net.shape[1] * net.shape[2]


FLAT, PIXELS = jnp.array([0.3, -1.2]), jax.random.normal(KEY, (24,))
PLANE = ((-13.0, 13.0, 400), (-13.0, 13.0, 400))

ENERGIES: dict[str, Case] = {
    "gaussian": Case(lambda: Gaussian(jnp.array([0.5, -1.0]), jnp.array([0.5, 2.0])), FLAT, PLANE),
    "gaussian, full": Case(lambda: Gaussian(jnp.array([0.5, -1.0]), FACTOR), FLAT, PLANE),
    "gaussian, image": Case(lambda: standard_normal((2, 3, 4)), jax.random.normal(KEY, (2, 3, 4))),
    "mixture": Case(lambda: GaussianMixture(LOG_WEIGHTS, MEANS, jnp.array([[1.0, 0.5], [0.3, 2.0]])), FLAT, PLANE),
    "mixture, full": Case(lambda: GaussianMixture(LOG_WEIGHTS, MEANS, FACTORS), FLAT, PLANE),
    "double well": Case(lambda: DoubleWell(2.0, 2, 0.4), FLAT, ((-4.0, 4.0, 300),) * 2),
    "many well": Case(lambda: ManyWell(2), FLAT, ((-4.0, 4.0, 300), (-9.0, 9.0, 200))),
    "funnel": Case(lambda: Funnel(2, 0.8), FLAT, ((-5.5, 5.5, 150), (-50.0, 50.0, 4000))),
    "banana": Case(lambda: Banana(2, 1.5, 0.3), FLAT, ((-10.0, 10.0, 300), (-12.0, 40.0, 900))),
    "classifier": Case(
        lambda: ClassifierEnergy(MLP(2, 8, 1, out_size=3, zero_last=False, key=KEY), standard_normal(2)), FLAT
    ),
    "self-normalised": Case(lambda: SelfNormalised(standard_normal(2), jnp.log(2.0 * jnp.pi)), FLAT),
    "levelled": Case(lambda: LevelledEnergy(MLP(3, 8, 1, zero_last=False, key=KEY), standard_normal(2)), FLAT),
    "mlp": Case(lambda: network(MLP(2, 8, 2, fourier=3, zero_last=False, key=KEY)), FLAT),
    "mlp, no base": Case(lambda: network(MLP(2, 8, 1, activation="gelu", zero_last=False, key=KEY), base=False), FLAT),
    "convnet": Case(
        lambda: network(
            ConvNet((4, 3, 2), (3, 5), zero_last=False, key=KEY),
            decode=Decode(jnp.ones(24), jnp.tril(jnp.full((24, 24), 0.1)) + jnp.eye(24), (4, 3, 2)),
        ),
        PIXELS,
    ),
    "resnet": Case(lambda: network(ResNet((4, 3, 2), (3, 5), activation="tanh", zero_last=False, key=KEY)), PIXELS),
    # the multilinear extension between the spins: every law but exact samples and quadrature holds off the spins too
    "independent spins": Case(lambda: IndependentSpins(jnp.array([0.2, 0.0, -0.4])), jnp.ones(3)),
    "independent categories": Case(lambda: IndependentCategories(jnp.array([[0.2, 0.0]] * 3)), jnp.eye(3)[:, :2]),
    "ising": Case(lambda: Ising(EDGES, jnp.array([0.5, -0.3, 0.8]), jnp.array([0.2, 0.0, -0.4])), jnp.ones(3)),
    "curie-weiss": Case(lambda: CurieWeiss(3, jnp.array(1.2), jnp.array(-0.3)), jnp.array([1.0, -1.0, 1.0])),
    "potts": Case(lambda: Potts(EDGES, jnp.array([0.5, -0.3, 0.8]), jnp.array([[0.2, 0.0]] * 3)), jnp.eye(3)[:, :2]),
    "hopfield": Case(lambda: Hopfield(SIGNS, 1.5, jnp.array([0.1, 0.0, -0.2])), jnp.ones(3)),
    "dense memory": Case(lambda: DenseMemory(SIGNS, 3, 1.5), jnp.ones(3)),
    "modern hopfield": Case(lambda: ModernHopfield(MEANS, 1.3), FLAT, PLANE),
    "boltzmann machine": Case(
        lambda: BoltzmannMachine(0.7 * (jnp.ones((3, 3)) - jnp.eye(3)), jnp.array([0.2, 0.0, -0.4])), jnp.ones(3)
    ),
    "sherrington-kirkpatrick": Case(lambda: sherrington_kirkpatrick(KEY, 4, 1.3, 0.2), jnp.ones(4)),
    "random energy": Case(lambda: RandomEnergy.draw(KEY, 3), jnp.array([1.0, -1.0, 1.0])),
    "rbm": Case(lambda: BernoulliRBM(FACTOR, jnp.array([0.3, -0.2]), jnp.array([0.1, 0.5])), FLAT),
    "gaussian rbm": Case(lambda: GaussianRBM(FACTOR, FLAT, jnp.array([0.1, 0.5]), jnp.array([0.5, 2.0])), FLAT),
    "potts rbm": Case(
        lambda: PottsRBM(jax.random.normal(KEY, (3, 2, 4)), jnp.ones((3, 2)), jnp.zeros(4)), jnp.full((3, 2), 0.4)
    ),
    "rosenbrock": Case(lambda: Rosenbrock(10.0, 4.0), FLAT, ((-8.0, 10.0, 400), (-4.0, 90.0, 3000))),
    "ring": Case(gaussian_ring, FLAT, ((-9.0, 9.0, 300),) * 2),
    "forty modes": Case(gmm40, FLAT, ((-50.0, 50.0, 400),) * 2),
    "phi^4": Case(lambda: Phi4Chain(4, 1.5, 0.5), jnp.array([0.3, -1.2, 1.0, 0.2])),
    "mueller-brown": Case(lambda: 0.02 * MuellerBrown(), jnp.array([-0.5, 1.3])),
    "linear regression": Case(five_points_posterior, jnp.array([1.1, 0.9]), ((-2.0, 4.0, 400), (-0.2, 2.2, 400))),
    "logistic regression": Case(lambda: LogisticRegression(FACTORS.reshape(4, 2), jnp.array([1, 0, 0, 1]), 2.0), FLAT),
    "eight schools": Case(EightSchools, jnp.linspace(-1.0, 2.0, 10)),
    "eight schools, centred": Case(EightSchoolsCentred, jnp.linspace(1.0, 2.0, 10)),
    "seeds": Case(Seeds, jnp.linspace(-0.5, 0.6, 26)),
    "brownian motion": Case(BrownianMotion, jnp.linspace(-1.0, 0.2, 32)),
    "sum": Case(lambda: DoubleWell(1.0, 2) + standard_normal(2), FLAT),
    "tempered": Case(lambda: 0.5 * GaussianMixture(LOG_WEIGHTS, MEANS, 1.0), FLAT),
    "function": Case(lambda: FunctionEnergy(lambda x: jnp.sum(jnp.cosh(x))), FLAT),
}

EXACT = tuple(name for name, case in ENERGIES.items() if case.box is not None)
"""Those with `log_z`, `log_prob` and `sample`."""


def trained(energy: AbstractEnergy, scale: float) -> AbstractEnergy:
    """The same energy with every floating array leaf scaled: other parameters of the same shapes."""
    return jax.tree.map(lambda a: scale * a if eqx.is_inexact_array(a) else a, energy)
