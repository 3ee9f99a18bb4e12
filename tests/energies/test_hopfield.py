"""Hopfield models: Gaussian hidden units integrated out to 1e-12, conditionals, recall, a mixture of Gaussians."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import (
    DenseMemory,
    GaussianMixture,
    Hopfield,
    ModernHopfield,
    enumerate_exact,
)
from energax.energies.enumeration import state_blocks
from energax.samplers.sites import SPINS
from judges import reach

RNG = np.random.default_rng(0)
PATTERNS = np.array([[1.0, 1.0, -1.0, 1.0, -1.0, -1.0], [1.0, -1.0, -1.0, 1.0, 1.0, -1.0]])
FIELDS = 0.3 * RNG.normal(size=6)
XS = np.concatenate(list(state_blocks(6)))


def every(function):
    return jax.jit(jax.vmap(function))


def model():
    return Hopfield(jnp.asarray(PATTERNS, jnp.float32), 1.7, jnp.asarray(FIELDS, jnp.float32))


def judge_hidden(joint, energy):
    """-log of the joint integrated over both hidden units, on a grid in double precision, is the energy."""
    axis, step = np.linspace(-14.0, 14.0, 301, retstep=True)  # the trapezoid rule is exact to rounding here
    hidden = jnp.asarray(np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2))
    values = jax.jit(jax.vmap(lambda x: -jax.nn.logsumexp(-jax.vmap(lambda h: joint(x, h))(hidden))))
    xs = jnp.asarray(XS[::5])
    found = values(xs) - 2 * math.log(step)
    np.testing.assert_allclose(found, every(energy)(xs), rtol=0, atol=1e-12)


@pytest.mark.parametrize("beta", [1.0, 0.6])
def test_the_energy_is_the_joint_with_its_gaussian_units_integrated_out(beta):
    with jax.enable_x64(True):
        energy = Hopfield(jnp.asarray(PATTERNS), 1.7, jnp.asarray(FIELDS)).at_beta(beta)
        judge_hidden(energy.joint, energy)
        plain = Hopfield(jnp.asarray(PATTERNS), 1.7, jnp.asarray(FIELDS))
        v, h = jnp.asarray(XS[5]), jnp.array([0.3, -1.1])
        np.testing.assert_allclose(energy.joint(v, h), beta * plain.joint(v, h), rtol=1e-14)


@pytest.mark.parametrize("bug", ["no root", "half the strength", "no normaliser"])
def test_the_judge_of_hidden_units_catches(bug):
    with jax.enable_x64(True):
        energy = Hopfield(jnp.asarray(PATTERNS), 1.7, jnp.asarray(FIELDS))

        def broken(v, h):
            drive = 1.7 / 6 if bug == "no root" else math.sqrt(1.7 / 12 if bug == "half the strength" else 1.7 / 6)
            constant = 0.0 if bug == "no normaliser" else math.log(2 * math.pi)
            pull = jnp.sum(h * (energy.patterns @ v))
            return 0.5 * jnp.sum(h * h) - drive * pull + constant - jnp.sum(energy.fields * v)

        with pytest.raises(AssertionError):
            judge_hidden(broken, energy)


def test_energy_is_the_textbook_sum_and_a_boltzmann_machine():
    energy = model()
    machine, constant = energy.at_beta(1.0).as_boltzmann()
    xs = jnp.asarray(XS, jnp.float32)
    overlaps = XS @ PATTERNS.T
    expected = -1.7 / 12 * np.sum(overlaps**2, axis=1) - XS @ FIELDS
    np.testing.assert_allclose(every(energy)(xs), expected, atol=3e-6)
    np.testing.assert_allclose(every(machine)(xs) + constant, expected, atol=3e-6)
    warm, shift = energy.at_beta(0.6).as_boltzmann()
    np.testing.assert_allclose(every(warm)(xs) + shift, every(energy.at_beta(0.6))(xs), atol=3e-6)


def test_log_z_by_the_hidden_units_is_the_sum_over_the_spins():
    # Z = integral over h of the Gaussian times prod_i 2 cosh(field of spin i)
    exact = enumerate_exact(model(), 6)
    axis, step = np.linspace(-14.0, 14.0, 601, retstep=True)
    hidden = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    wide = np.asarray(model().fields, np.float64)
    fields = math.sqrt(1.7 / 6) * hidden @ PATTERNS + wide
    logs = -0.5 * np.sum(hidden**2, axis=1) - math.log(2 * math.pi) + np.sum(np.log(2 * np.cosh(fields)), axis=1)
    np.testing.assert_allclose(np.logaddexp.reduce(logs) + 2 * math.log(step), exact.log_z, rtol=1e-12)


def judge_fields(energy, logits):
    xs = jnp.asarray(XS, jnp.float32)
    value = jax.jit(jax.vmap(energy))
    found = np.asarray(jax.jit(jax.vmap(logits))(xs))
    for i in range(6):
        up, down = (-np.asarray(value(xs.at[:, i].set(s))) for s in (1.0, -1.0))
        np.testing.assert_allclose(found[:, i, 1] - found[:, i, 0], up - down, atol=5e-6)


ENERGIES = {
    "hopfield": model,
    "hopfield, warm": lambda: model().at_beta(0.4),
    "dense, 3": lambda: DenseMemory(jnp.asarray(PATTERNS, jnp.float32), 3, 1.3),
    "dense, 4": lambda: DenseMemory(jnp.asarray(PATTERNS, jnp.float32), 4, 0.7),
}


@pytest.mark.parametrize("name", ENERGIES)
def test_fields_and_gradients_are_the_cost_of_a_flip(name):
    energy = ENERGIES[name]()
    judge_fields(energy, lambda x: jnp.stack([energy.conditional_logits(x, i) for i in jnp.arange(6)]))
    judge_fields(energy, lambda x: SPINS.logits(x, jax.grad(energy)(x)))


def test_the_judge_of_fields_catches_the_slope_of_the_power():
    energy = ENERGIES["dense, 3"]()

    def broken(x):
        overlaps = energy.patterns @ x
        slope = 3 * energy.strength * jnp.sum(energy.patterns * (overlaps[:, None] / 6) ** 2, axis=0)
        return jnp.stack([-slope, slope], axis=1)

    with pytest.raises(AssertionError):
        judge_fields(energy, broken)


def test_conditionals_of_the_joint_are_drawn_exactly():
    energy = model().at_beta(0.6)
    num = 40_000
    keys = jax.random.split(jax.random.key(1), num)
    v, h = jnp.asarray(XS[11], jnp.float32), jnp.array([0.7, -0.4])
    hidden = np.asarray(jax.jit(jax.vmap(lambda k: energy.sample_hidden(k, v)))(keys), np.float64)
    mean = math.sqrt(1.7 / 6) * PATTERNS @ XS[11]
    assert np.all(np.abs(hidden.mean(0) - mean) < reach() * math.sqrt(1 / 0.6 / num))
    assert np.all(np.abs(hidden.var(0) * 0.6 - 1) < reach() * math.sqrt(2 / num))
    spins = np.asarray(jax.jit(jax.vmap(lambda k: energy.sample_visible(k, h)))(keys), np.float64)
    assert set(np.unique(spins)) == {-1.0, 1.0}
    flips = [float(energy.joint(v.at[i].set(-1.0), h) - energy.joint(v.at[i].set(1.0), h)) for i in range(6)]
    exact = np.tanh(0.5 * np.array(flips))
    assert np.all(np.abs(spins.mean(0) - exact) < reach() * np.sqrt((1 - exact**2) / num))


def corrupted(patterns, share, seed=2):
    flips = np.random.default_rng(seed).random(patterns.shape) < share
    return jnp.asarray(np.where(flips, -patterns, patterns), jnp.float32)


@pytest.mark.parametrize("kind", ["hopfield", "dense"])
def test_patterns_are_recalled_from_damaged_ones(kind):
    # 100 spins: 5 patterns for Hebb's rule, 200 for the third power
    patterns = np.random.default_rng(3).choice([-1.0, 1.0], size=(5 if kind == "hopfield" else 200, 100))
    stored = jnp.asarray(patterns, jnp.float32)
    energy = Hopfield(stored) if kind == "hopfield" else DenseMemory(stored, 3)
    start = corrupted(patterns[:5], 0.1)
    recall = jax.jit(jax.vmap(lambda x: energy.recall(x, 5)))
    found = recall(start)
    assert np.mean(np.asarray(found) == patterns[:5]) > 0.995
    assert np.all(every(energy)(found) <= every(energy)(start))
    if kind == "dense":  # Hebb's rule cannot: two patterns a spin
        drowned = jax.jit(jax.vmap(lambda x: Hopfield(stored).recall(x, 5)))(start)
        assert np.mean(np.asarray(drowned) == patterns[:5]) < 0.9


def test_power_two_is_hopfield():
    patterns = jnp.asarray(PATTERNS, jnp.float32)
    xs = jnp.asarray(XS, jnp.float32)
    dense, plain = DenseMemory(patterns, 2, 0.8), Hopfield(patterns, 1.6)
    np.testing.assert_allclose(every(dense)(xs), every(plain)(xs), atol=2e-6)
    np.testing.assert_allclose(every(dense.local_field)(xs), every(plain.local_field)(xs), atol=2e-6)


def test_the_modern_network_is_a_mixture_of_gaussians():
    patterns = jnp.array([[1.0, 0.5], [-2.0, 0.3], [0.4, -1.5]])
    energy = ModernHopfield(patterns, 1.8)
    mixture = GaussianMixture(0.9 * jnp.sum(patterns**2, axis=1), patterns, 1.8**-0.5)
    xs = 2.0 * jax.random.normal(jax.random.key(0), (50, 2))
    density = every(mixture.log_prob)(xs)
    # the mixture's own log Z is that of its weights; densities are normalised
    np.testing.assert_allclose(every(energy.log_prob)(xs), density, atol=1e-5)
    other = eqx.tree_at(lambda e: e.patterns, energy, 1.02 * patterns)
    assert np.abs(np.asarray(every(other.log_prob)(xs) - density)).max() > 1e-2


def test_the_update_is_a_gradient_step_and_retrieves():
    patterns = np.random.default_rng(4).normal(size=(50, 30))
    patterns *= math.sqrt(30) / np.linalg.norm(patterns, axis=1, keepdims=True)
    energy = ModernHopfield(jnp.asarray(patterns, jnp.float32), 1.5)
    start = jnp.asarray(patterns[:8] + 0.4 * np.random.default_rng(5).normal(size=(8, 30)), jnp.float32)
    slope, new = every(jax.grad(energy))(start), every(energy.update)(start)
    np.testing.assert_allclose(new, start - slope / 1.5, atol=1e-5)
    np.testing.assert_allclose(new, patterns[:8], atol=1e-3)
    assert np.all(every(energy)(new) <= every(energy)(start))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Hopfield(jnp.array([[1.0, 0.5]])), "Hopfield.patterns must hold -1 and"),
        (lambda: Hopfield(jnp.ones(3)), r"Hopfield.patterns must be floating, of shape \(patterns, sites\)"),
        (lambda: Hopfield(jnp.ones((2, 3)), -1.0), "strength must be >= 0"),
        (lambda: Hopfield(jnp.ones((2, 3)), 1.0, jnp.zeros(2)), r"fields must be a number or of shape \(3,\)"),
        (lambda: model()(jnp.ones(5)), r"x must be ONE sample of shape \(6,\)"),
        (lambda: model().at_beta(0.0), "beta must be > 0"),
        (lambda: model().recall(jnp.ones(6), 0), "sweeps must be an integer >= 1"),
        (lambda: DenseMemory(jnp.ones((2, 3)), 1), "DenseMemory.power must be an integer >= 2; got 1"),
        (lambda: DenseMemory(jnp.zeros((2, 3))), "DenseMemory.patterns must hold -1 and"),
        (lambda: ModernHopfield(jnp.ones((2, 3)), 0.0), "beta must be > 0"),
        (lambda: ModernHopfield(jnp.array([[jnp.nan]])), "patterns must be finite"),
        (lambda: ModernHopfield(jnp.ones((2, 3))).update(jnp.ones(2)), "x must be ONE sample"),
    ],
)
def test_refusals(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
