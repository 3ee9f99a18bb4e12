"""Models that `energax logz` knows by name: small ones, each with its exact log Z.

A name stands for one energy with fixed settings, so that a table that is printed twice is the same table.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Scalar

from energax.core import AbstractDensity, AbstractEnergy, AbstractSampler, GeometricPath
from energax.energies import (
    ISING_CRITICAL_COUPLING,
    Banana,
    BernoulliRBM,
    CurieWeiss,
    DoubleWell,
    EightSchools,
    Funnel,
    Gaussian,
    GaussianRBM,
    IndependentBits,
    IndependentCategories,
    IndependentSpins,
    Ising,
    ManyWell,
    MuellerBrown,
    Phi4Chain,
    Potts,
    RandomEnergy,
    RBMPath,
    bars_and_stripes_rbm,
    curie_weiss_exact,
    eight_schools_exact,
    five_points_posterior,
    gaussian_ring,
    gmm40,
    ising_torus,
    mueller_brown_exact,
    phi4_exact,
    potts_critical_coupling,
    potts_torus,
    rbm_exact,
    rbm_samples,
    standard_normal,
)
from energax.numerics.random import chain_keys
from energax.samplers import BITS, CATEGORIES, SPINS, BlockGibbs, RandomScanGibbs

from .models import Draw, Model, continuous


def known(name: str) -> Model | None:
    """The model of a name in the catalogue, or None."""
    if name not in CATALOGUE:
        return None
    title, make = CATALOGUE[name]
    return make(name, title)


def _gaussian(name: str, title: str) -> Model:
    mean, scale = jnp.ones(10), jnp.linspace(0.5, 2.0, 10)

    def lead(x: Array, here: Scalar, there: Scalar) -> Array:
        # the exact drift of the mean, s / scale^2 / (1 - s + s / scale^2); the widths are left to the kernel
        def centre(s: Scalar) -> Array:
            return mean * s / (s + (1.0 - s) * scale**2)

        return x + centre(there) - centre(here)

    target = Gaussian(mean, scale)
    return _density(name, title, standard_normal(10), target, "closed form", escort=lead)


def _double_well(name: str, title: str) -> Model:
    return _density(name, title, standard_normal(2), DoubleWell(2.0, 2, tilt=0.5), "quadrature")


def _many_well(name: str, title: str) -> Model:
    return _density(name, title, _normal(8, 2.0), ManyWell(8), "quadrature")


def _ring(name: str, title: str) -> Model:
    return _density(name, title, _normal(2, 4.0), gaussian_ring(), "closed form")


def _gmm40(name: str, title: str) -> Model:
    return _density(name, title, _normal(2, 30.0), gmm40(), "closed form")


def _funnel(name: str, title: str) -> Model:
    return _density(name, title, standard_normal(4), Funnel(4, 1.5), "closed form")


def _banana(name: str, title: str) -> Model:
    return _density(name, title, Gaussian(jnp.zeros(2), jnp.array([3.0, 2.0])), Banana(2, 3.0, 0.1), "closed form")


def _regression(name: str, title: str) -> Model:
    return _density(name, title, standard_normal(2), five_points_posterior(), "closed form")


def _mueller_brown(name: str, title: str) -> Model:
    path = GeometricPath(Gaussian(jnp.array([-0.2, 0.8]), 0.7), 0.05 * MuellerBrown())
    return Model(name, title, path, continuous(0.01), mueller_brown_exact(0.05).log_z, "quadrature")


def _phi4(name: str, title: str) -> Model:
    target = Phi4Chain(16, 1.0, 1.0)
    path = GeometricPath(standard_normal(16), target)
    return Model(name, title, path, continuous(), phi4_exact(target).log_z, "transfer operator")


def _eight_schools(name: str, title: str) -> Model:
    path = GeometricPath(standard_normal(10), EightSchools())
    return Model(name, title, path, continuous(), eight_schools_exact().log_z, "quadrature")


def _ising(name: str, title: str) -> Model:
    coupling = ISING_CRITICAL_COUPLING
    return _spins(name, title, 16, Ising.lattice((4, 4), coupling), ising_torus(4, 4, coupling).log_z, "Kaufman's sum")


def _curie_weiss(name: str, title: str) -> Model:
    return _spins(name, title, 32, CurieWeiss(32, 1.2), curie_weiss_exact(32, 1.2).log_z, "sum over magnetisations")


def _random_energy(name: str, title: str) -> Model:
    target = RandomEnergy.draw(jax.random.key(0), 10)
    return _spins(name, title, 10, target, float(target.log_z()), "enumeration", draw=_exact(target))


def _potts(name: str, title: str) -> Model:
    coupling = potts_critical_coupling(3)
    path = GeometricPath(IndependentCategories(jnp.zeros((9, 3))), Potts.lattice((3, 3), 3, coupling))
    kernels: dict[str, AbstractSampler] = {"gibbs": RandomScanGibbs(CATEGORIES, 9)}
    return Model(name, title, path, kernels, potts_torus(3, 3, 3, coupling).log_z, "transfer matrix")


def _rbm(name: str, title: str) -> Model:
    i, j = jnp.arange(10.0)[:, None], jnp.arange(6.0)[None, :]
    weights = 1.5 * jnp.sin(1.0 + 3.0 * i + 5.0 * j)
    return _machine(name, title, BernoulliRBM(weights, 0.5 * jnp.cos(2.0 * i[:, 0]), 0.4 * jnp.sin(1.0 + j[0])))


def _bars(name: str, title: str) -> Model:
    return _machine(name, title, bars_and_stripes_rbm(4.0))


def _gaussian_rbm(name: str, title: str) -> Model:
    i, j = jnp.arange(4.0)[:, None], jnp.arange(5.0)[None, :]
    target = GaussianRBM(jnp.sin(1.0 + 2.0 * i + 3.0 * j), 0.3 * jnp.cos(i[:, 0]), -0.5 + 0.2 * j[0])
    path = GeometricPath(_normal(4, 2.0), target)
    return Model(
        name, title, path, continuous(), rbm_exact(target).log_z, "enumeration of hidden states",
        draw=lambda key, num: rbm_samples(key, target, num),
    )  # fmt: skip


def _normal(dim: int, scale: float) -> Gaussian:
    return Gaussian(jnp.zeros(dim), scale)


def _exact(target: AbstractDensity) -> Draw:
    return lambda key, num: jax.vmap(target.sample)(chain_keys(key, num))


def _density(name: str, title: str, base: AbstractDensity, target: Any, how: str, **rest: Any) -> Model:
    """An energy of real coordinates that can be sampled."""
    path = GeometricPath(base, target)
    return Model(name, title, path, continuous(), float(target.log_z()), how, _exact(target), **rest)


def _spins(name: str, title: str, sites: int, target: AbstractEnergy, exact: float, how: str, **rest: Any) -> Model:
    """An energy of spins, from infinite temperature; the sweep is in random order, since Crooks asks for balance."""
    path = GeometricPath(IndependentSpins(jnp.zeros(sites)), target)
    return Model(name, title, path, {"gibbs": RandomScanGibbs(SPINS, sites)}, exact, how, **rest)


def _machine(name: str, title: str, target: BernoulliRBM) -> Model:
    """A machine of bits, from the one without couplings."""
    bits = target.visible_bias.shape[0]
    kernels = {"block-gibbs": BlockGibbs(), "gibbs": RandomScanGibbs(BITS, bits)}
    return Model(
        name, title, RBMPath(IndependentBits(jnp.zeros(bits)), target), kernels, rbm_exact(target).log_z,
        "enumeration of hidden states", draw=lambda key, num: rbm_samples(key, target, num),
    )  # fmt: skip


CATALOGUE: dict[str, tuple[str, Callable[[str, str], Model]]] = {
    "gaussian": ("Gaussian in 10 dimensions, means 1, widths 0.5 to 2", _gaussian),
    "double-well": ("two tilted double wells, barriers of 2 nats", _double_well),
    "many-well": ("16 modes in 8 dimensions", _many_well),
    "ring": ("8 Gaussians on a circle", _ring),
    "gmm40": ("40 Gaussians in a square of side 80", _gmm40),
    "funnel": ("Neal's funnel in 4 dimensions, scale 1.5", _funnel),
    "banana": ("bent Gaussian in the plane", _banana),
    "mueller-brown": ("Mueller-Brown surface in the plane, beta = 0.05", _mueller_brown),
    "phi4": ("phi^4 chain of 16 sites, coupling 1, depth 1", _phi4),
    "linear-regression": ("evidence of a line through five points", _regression),
    "eight-schools": ("evidence of the eight schools, non-centred", _eight_schools),
    "ising": ("Ising model, 4 x 4 torus at the critical coupling", _ising),
    "curie-weiss": ("Curie-Weiss model of 32 spins, K = 1.2", _curie_weiss),
    "random-energy": ("random energy model of 10 spins", _random_energy),
    "potts": ("three-state Potts model, 3 x 3 torus at the critical coupling", _potts),
    "rbm": ("restricted Boltzmann machine of 10 and 6 bits", _rbm),
    "bars-and-stripes": ("restricted Boltzmann machine of 3 x 3 bars and stripes, alpha = 4", _bars),
    "gaussian-rbm": ("machine of 4 real and 5 hidden units", _gaussian_rbm),
}
