"""The Ising energy on general graphs: brute force over all states, local fields, refusals."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import freeze
from energax.energies import Ising, enumerate_log_z, lattice_edges

PAIRS = np.array([[0, 1], [3, 1], [2, 4], [4, 0], [0, 1], [5, 2]])  # unsorted, one edge twice, site 3 a leaf


def glass(sites=6, pairs=PAIRS, seed=0):
    rng = np.random.default_rng(seed)
    strengths, fields = rng.normal(size=len(pairs)), 0.5 * rng.normal(size=sites)
    return Ising(pairs, jnp.asarray(strengths, jnp.float32), jnp.asarray(fields, jnp.float32))


def naive(energy, x):
    """The textbook sum, one edge and one site at a time, in double precision."""
    value = -sum(float(h) * s for h, s in zip(energy.fields, x, strict=True))
    for (a, b), strength in zip(np.asarray(energy.pairs), energy.strengths, strict=True):
        value -= float(strength) * x[a] * x[b]
    return value


def states(sites):
    return [np.array(x) for x in itertools.product((-1.0, 1.0), repeat=sites)]


def judge_local_field(energy, local_field):
    """A flip of x_i costs 2 h_i x_i, for every site of every state."""
    xs = jnp.asarray(np.stack(states(energy.fields.shape[0])), jnp.float32)
    found = np.asarray(jax.vmap(local_field)(xs))
    for i in range(xs.shape[1]):
        flipped = xs.at[:, i].multiply(-1.0)
        cost = jax.vmap(energy)(flipped) - jax.vmap(energy)(xs)
        np.testing.assert_allclose(2 * found[:, i] * np.asarray(xs[:, i]), cost, atol=1e-5)


def test_energy_is_the_textbook_sum():
    energy, xs = glass(), states(6)
    found = jax.vmap(energy)(jnp.asarray(np.stack(xs), jnp.float32))
    np.testing.assert_allclose(found, [naive(energy, x) for x in xs], atol=2e-6)


@pytest.mark.parametrize("energy", [glass(), Ising.lattice((2, 3), 0.4, 0.1)], ids=["glass", "torus of two rows"])
def test_local_field_is_the_cost_of_a_flip(energy):
    judge_local_field(energy, energy.local_field)


@pytest.mark.parametrize("bug", ["one way", "overwritten", "no field", "sign", "own spin"])
def test_the_judge_of_local_fields_catches(bug):
    energy = glass()
    left, right = energy.pairs[:, 0], energy.pairs[:, 1]

    def broken(x):
        sound = energy.local_field(x)
        if bug == "one way":  # the edge list read as directed
            return energy.fields + jax.ops.segment_sum(energy.strengths * x[right], left, 6)
        if bug == "overwritten":  # neighbours set, not added
            zero = jnp.zeros(6)
            return energy.fields + zero.at[left].set(energy.strengths * x[right]).at[right].set(
                energy.strengths * x[left]
            )
        return {"no field": sound - energy.fields, "sign": -sound, "own spin": sound + 0.1 * x}[bug]

    with pytest.raises(AssertionError):
        judge_local_field(energy, broken)


def test_local_field_is_minus_the_gradient_and_forgets_its_own_spin():
    energy, x = glass(), jnp.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
    np.testing.assert_allclose(energy.local_field(x), -jax.grad(energy)(x), rtol=1e-6)
    jacobian = jax.jacobian(energy.local_field)(x)
    np.testing.assert_array_equal(jnp.diagonal(jacobian), 0.0)
    np.testing.assert_allclose(jacobian, jacobian.T)


def test_conditional_logits_are_the_conditional():
    energy, x = glass(), jnp.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
    for site in range(6):
        pair = [-energy(x.at[site].set(value)) for value in (-1.0, 1.0)]
        logits = energy.conditional_logits(x, jnp.array(site))
        np.testing.assert_allclose(jax.nn.softmax(logits), jax.nn.softmax(jnp.stack(pair)), rtol=1e-5)
        np.testing.assert_array_equal(energy.conditional_logits(x.at[site].multiply(-1.0), jnp.array(site)), logits)


def test_enumerated_log_z_is_brute_force():
    energy = glass()
    brute = math.log(math.fsum(math.exp(-naive(energy, x)) for x in states(6)))
    np.testing.assert_allclose(enumerate_log_z(energy), brute, rtol=1e-13)


def test_enumerated_log_z_of_independent_spins_over_several_blocks():
    fields = jnp.linspace(-1.0, 2.0, 16)
    exact = np.sum(np.log(2 * np.cosh(np.asarray(fields, np.float64))))
    np.testing.assert_allclose(enumerate_log_z(Ising(np.zeros((0, 2), int), 0.0, fields)), exact, rtol=1e-13)


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3), (2, 3, 4)])
@pytest.mark.parametrize("periodic", [True, False])
def test_lattice_edges_are_the_neighbours(shape, periodic):
    expected = []
    for here in itertools.product(*map(range, shape)):
        for axis, size in enumerate(shape):
            there = list(here)
            there[axis] += 1
            if there[axis] == size and not periodic:
                continue
            there[axis] %= size
            expected.append(tuple(int(np.ravel_multi_index(site, shape)) for site in (here, there)))
    assert sorted(map(tuple, lattice_edges(shape, periodic).tolist())) == sorted(expected)


def test_frozen_energy_keeps_its_graph_and_strengths_learn():
    energy, x = glass(), jnp.ones(6)
    assert freeze(energy)(x) == energy(x)
    slope = jax.grad(lambda s: Ising(PAIRS, s, jnp.zeros(6))(x))(energy.strengths)
    np.testing.assert_array_equal(slope, -1.0)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Ising(PAIRS, 1.0, jnp.zeros(5)), "pairs must name sites 0 to 4; got 0 to 5"),
        (lambda: Ising(PAIRS - 1, 1.0, jnp.zeros(6)), "pairs must name sites 0 to 5; got -1 to 4"),
        (lambda: Ising(np.array([[1, 1]]), 1.0, jnp.zeros(6)), "must join two different sites; got site 1 with itself"),
        (lambda: Ising(PAIRS.T, 1.0, jnp.zeros(6)), r"integer array of shape \(edges, 2\); got shape \(2, 6\)"),
        (lambda: Ising(PAIRS.astype(float), 1.0, jnp.zeros(6)), "must hold integers; got dtype float64"),
        (lambda: Ising(PAIRS, jnp.ones(3), jnp.zeros(6)), r"strengths must be a number or of shape \(6,\)"),
        (lambda: Ising(PAIRS, jnp.nan, jnp.zeros(6)), "strengths must be finite"),
        (lambda: Ising(PAIRS, 1.0, jnp.zeros(6, int)), "fields must be floating"),
        (lambda: Ising(PAIRS, 1.0, jnp.full(6, jnp.inf)), "fields must be finite"),
        (lambda: glass()(jnp.zeros(7)), "x must be ONE sample of shape"),
        (lambda: glass().local_field(jnp.zeros(5)), "x must be ONE sample of shape"),
        (lambda: lattice_edges((4, 1)), "shape must be an integer >= 2; got 1"),
        (lambda: lattice_edges((2, 2, 2, 2)), "shape must have 1 to 3 axes"),
        (lambda: enumerate_log_z(Ising.lattice((21,), 1.0)), "must number 1 to 20; got 21"),
        (lambda: jax.jit(enumerate_log_z)(glass()), "must be called outside jit"),
    ],
)
def test_refusals(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
