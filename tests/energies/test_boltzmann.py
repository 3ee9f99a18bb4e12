"""Boltzmann machines: the textbook sum, bits as spins, layers, and an enumerated spin glass computed elsewhere."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import BoltzmannMachine, enumerate_exact
from energax.samplers.sites import BITS, SPINS


def machine(units=5, spins=False, seed=0):
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.normal(size=(units, units)), 1)
    return BoltzmannMachine(
        jnp.asarray(upper + upper.T, jnp.float32), jnp.asarray(rng.normal(size=units), jnp.float32), spins=spins
    )


def states(spins, units=5):
    return [np.array(x) for x in itertools.product((-1.0 if spins else 0.0, 1.0), repeat=units)]


def judge_conditional(energy, logits, spins):
    xs = np.stack(states(spins))
    value = jax.jit(jax.vmap(energy))
    found = np.asarray(jax.jit(jax.vmap(logits))(jnp.asarray(xs, jnp.float32)))
    for i in range(5):
        each = []
        for state in (-1.0 if spins else 0.0, 1.0):
            changed = xs.copy()
            changed[:, i] = state
            each.append(-np.asarray(value(jnp.asarray(changed, jnp.float32))))
        np.testing.assert_allclose(found[:, i, 1] - found[:, i, 0], each[1] - each[0], atol=5e-6)


@pytest.mark.parametrize("spins", [False, True], ids=["bits", "spins"])
def test_energy_and_conditionals(spins):
    energy = machine(spins=spins)
    for x in states(spins)[::5]:
        value = -sum(float(energy.weights[i, j]) * x[i] * x[j] for i in range(5) for j in range(i))
        value -= float(np.asarray(energy.biases) @ x)
        np.testing.assert_allclose(energy(jnp.asarray(x, jnp.float32)), value, atol=3e-6)
    judge_conditional(energy, lambda x: jnp.stack([energy.conditional_logits(x, i) for i in jnp.arange(5)]), spins)
    sites = SPINS if spins else BITS
    judge_conditional(energy, lambda x: sites.logits(x, jax.grad(energy)(x)), spins)
    x = jnp.asarray(states(spins)[6], jnp.float32)
    np.testing.assert_allclose(energy.local_field(x), -jax.grad(energy)(x), rtol=1e-5)


@pytest.mark.parametrize("bug", ["half", "no bias", "other units"])
def test_the_judge_catches(bug):
    energy = machine()

    def broken(x):
        field = energy.local_field(x)
        field = {"half": 0.5 * field, "no bias": field - energy.biases, "other units": field}[bug]
        return jnp.stack([-field if bug == "other units" else 0.0 * field, field], axis=-1)

    with pytest.raises(AssertionError):
        judge_conditional(energy, broken, False)


def test_the_enumerated_spin_glass_computed_elsewhere():
    i = np.arange(12)
    upper = np.triu(1.5 * np.sin(1 + 7 * i[:, None] + 13 * i[None]) / np.sqrt(12), 1)
    with jax.enable_x64(True):
        energy = BoltzmannMachine(jnp.asarray(upper + upper.T), jnp.asarray(0.3 * np.cos(i)), spins=True)
        exact = enumerate_exact(energy, 12, observe=lambda x: np.stack([x[:, 0] * x[:, 1], x[:, 5] * x[:, 9]], 1))
        ground = jnp.asarray([-1.0, -1, -1, -1, 1, 1, 1, 1, 1, 1, -1, -1])
        np.testing.assert_allclose(energy(ground), -11.958104464250624, rtol=1e-12)
    found = (exact.log_z, exact.energy, exact.entropy, *exact.observed)
    expected = (13.20582138692862, -9.955969394067814, 3.249851992860802, 0.8586867557023299, 0.5176481094805534)
    np.testing.assert_allclose(found, expected, rtol=1e-11)
    np.testing.assert_allclose(exact.mean[[0, 9]], [-0.19642542292402856, -0.021380362114034403], rtol=1e-10)


def test_bits_are_spins_of_other_parameters():
    energy = machine(6)
    spins, constant = energy.as_spins()
    for x in states(False, 6)[::7]:
        x = jnp.asarray(x, jnp.float32)
        np.testing.assert_allclose(energy(x), spins(2.0 * x - 1.0) + constant, atol=5e-6)
    bits, moved = enumerate_exact(energy, 6, (0.0, 1.0)), enumerate_exact(spins, 6)
    np.testing.assert_allclose(bits.log_z, moved.log_z - float(constant), rtol=1e-6)
    np.testing.assert_allclose(bits.mean, 0.5 + 0.5 * moved.mean, atol=1e-6)


def test_layers_are_the_sum_over_neighbouring_layers():
    rng = np.random.default_rng(1)
    sizes = (3, 2, 4)
    weights = [jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((3, 2), (2, 4))]
    biases = [jnp.asarray(rng.normal(size=s), jnp.float32) for s in sizes]
    energy = BoltzmannMachine.layered(weights, biases)
    a, b, c = (jnp.asarray(rng.integers(0, 2, s), jnp.float32) for s in sizes)
    expected = -(a @ weights[0] @ b + b @ weights[1] @ c) - sum(
        jnp.sum(p * q) for p, q in zip(biases, (a, b, c), strict=True)
    )
    np.testing.assert_allclose(energy(jnp.concatenate([a, b, c])), expected, rtol=1e-5)


def test_training_keeps_the_weights_symmetric_without_a_diagonal():
    energy, x = machine(), jnp.array([1.0, 0.0, 1.0, 1.0, 0.0])
    slope = jax.grad(lambda e: e(x))(energy).weights
    np.testing.assert_array_equal(jnp.diagonal(slope), 0.0)
    np.testing.assert_array_equal(slope, slope.T)
    assert float(slope[0, 2]) == -0.5  # once in each triangle


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: BoltzmannMachine(jnp.eye(2), jnp.zeros(2)), "weights must have a diagonal of 0; got an entry of 1"),
        (
            lambda: BoltzmannMachine(jnp.triu(jnp.ones((2, 2)), 1), jnp.zeros(2)),
            "entries that differ by 1",
        ),
        (lambda: BoltzmannMachine(jnp.zeros((2, 3)), jnp.zeros(2)), r"weights must have shape \(2, 2\)"),
        (lambda: BoltzmannMachine(jnp.zeros((2, 2)), jnp.zeros(2, int)), "biases must be floating"),
        (lambda: BoltzmannMachine(jnp.zeros((2, 2)), jnp.array([0.0, jnp.nan])), "biases must be finite"),
        (lambda: machine()(jnp.zeros(4)), "x must be ONE sample"),
        (lambda: machine(spins=True).as_spins(), "the units must be bits; got spins"),
        (lambda: BoltzmannMachine.layered([jnp.zeros((3, 2))], [jnp.zeros(3), jnp.zeros(4)]), r"shapes \[\(3, 4\)\]"),
    ],
)
def test_refusals(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
