"""Potts: the textbook sum, exact conditionals, the Ising model of two states, and its exact answers by two routes."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import (
    Ising,
    Potts,
    enumerate_exact,
    enumerate_log_z,
    ising_torus,
    ising_torus_magnetisation,
    lattice_edges,
    potts_critical_coupling,
    potts_critical_energy,
    potts_ring,
    potts_ring_correlation,
    potts_torus,
    potts_torus_occupation,
)
from energax.samplers.sites import CATEGORIES

K_C = {q: math.log(1 + math.sqrt(q)) for q in (2, 3, 4, 5, 10)}
PAIRS = np.array([[0, 1], [1, 2], [0, 2], [2, 3], [0, 1]])  # a triangle with a tail, one edge twice


def glass():
    rng = np.random.default_rng(0)
    return Potts(PAIRS, rng.normal(size=5).astype(np.float32), jnp.asarray(rng.normal(size=(4, 3)), jnp.float32))


def one_hot(codes, states=3):
    return jax.nn.one_hot(jnp.array(codes), states)


def judge_conditional(energy, logits):
    """Differences of the energy over the states of one site, for every site of some states."""
    for codes in ((0, 1, 2, 0), (1, 1, 1, 1), (2, 0, 2, 1)):
        x = one_hot(codes)
        found = logits(x)
        for site in range(4):
            each = jnp.stack([-energy(x.at[site].set(row)) for row in jnp.eye(3)])
            np.testing.assert_allclose(found[site] - found[site, 0], each - each[0], atol=3e-6)


def test_energy_is_the_textbook_sum():
    energy = glass()
    for codes in ((0, 1, 2, 0), (1, 1, 1, 1), (2, 0, 2, 1)):
        value = -sum(float(j) for j, (a, b) in zip(energy.strengths, PAIRS, strict=True) if codes[a] == codes[b])
        value -= sum(float(energy.fields[site, code]) for site, code in enumerate(codes))
        np.testing.assert_allclose(energy(one_hot(codes)), value, atol=2e-6)


def test_local_field_gradient_and_conditionals_are_the_cost_of_a_change():
    energy = glass()
    judge_conditional(energy, energy.local_field)
    judge_conditional(energy, lambda x: jnp.stack([energy.conditional_logits(x, jnp.array(i)) for i in range(4)]))
    judge_conditional(energy, lambda x: CATEGORIES.logits(x, jax.grad(energy)(x)))
    x = one_hot((2, 0, 2, 1))
    np.testing.assert_allclose(energy.local_field(x), -jax.grad(energy)(x), rtol=1e-6)


@pytest.mark.parametrize("bug", ["one way", "no field", "sign", "edge once"])
def test_the_judge_catches(bug):
    energy = glass()
    left, right = energy.pairs[:, 0], energy.pairs[:, 1]

    def broken(x):
        sound = energy.local_field(x)
        if bug == "one way":
            return energy.fields + jax.ops.segment_sum(energy.strengths[:, None] * x[right], left, 4)
        if bug == "edge once":  # the last edge, a repeated one, forgotten
            last = energy.strengths[-1]
            return sound.at[0].add(-last * x[1]).at[1].add(-last * x[0])
        return {"no field": sound - energy.fields, "sign": -sound}[bug]

    with pytest.raises(AssertionError):
        judge_conditional(energy, broken)


def test_two_states_are_the_ising_model():
    coupling = 0.375
    potts = enumerate_exact(Potts.lattice((3, 3), 2, 2 * coupling), 9, 2)
    edges = len(lattice_edges((3, 3)))
    np.testing.assert_allclose(potts.log_z, enumerate_log_z(Ising.lattice((3, 3), coupling)) + edges * coupling)
    ising, torus = ising_torus(4, 6, 0.4), potts_torus(6, 4, 2, 0.8)
    np.testing.assert_allclose(torus.log_z, ising.log_z + 48 * 0.4, rtol=1e-12)
    np.testing.assert_allclose(torus.energy, ising.energy - 2 * 0.4, rtol=1e-12)
    np.testing.assert_allclose(torus.specific_heat, ising.specific_heat, rtol=1e-11)
    np.testing.assert_array_equal(
        potts_torus_occupation(3, 4, 2, 0.8), ising_torus_magnetisation(3, 4, 0.4).probabilities
    )


def judge_torus(torus):
    """Values computed elsewhere (energies to nine digits in units of J), and enumeration."""
    for states, side, coupling, log_z, energy in (
        (3, 3, 0.8, 16.740076531685354, -1.432650862),
        (3, 3, K_C[3], 19.688939731846784, -1.742122215),
        (3, 5, 0.8, 45.26313946058862, -1.250656304),
        (3, 5, K_C[3], 52.801145601693285, -1.688825398),
        (4, 4, 0.8, 31.091559526004815, -1.01639412),
        (4, 4, K_C[4], 37.49893178715903, -1.680868888),
    ):
        found = torus(side, side, states, coupling)
        np.testing.assert_allclose(found.log_z, log_z, rtol=1e-10)
        np.testing.assert_allclose(found.energy / coupling, energy, atol=1e-9)
    for rows, cols, states, coupling in ((2, 3, 3, 0.75), (4, 2, 3, -1.5), (3, 2, 5, 1.25), (3, 3, 3, 0.5)):
        exact = enumerate_exact(Potts.lattice((rows, cols), states, coupling), rows * cols, states)
        expected = (exact.log_z, exact.energy / (rows * cols), exact.energy_variance / (rows * cols))
        np.testing.assert_allclose(torus(rows, cols, states, coupling), expected, rtol=1e-11)


def test_torus_reference_and_enumeration():
    judge_torus(potts_torus)


@pytest.mark.parametrize("bug", ["open ends", "heat without its square", "ising coupling"])
def test_the_judge_of_the_torus_catches(bug):
    def broken(rows, cols, states, coupling):
        if bug == "ising coupling":
            return potts_torus(rows, cols, states, 2 * coupling)
        found = potts_torus(rows, cols, states, coupling)
        if bug == "open ends":
            return found._replace(log_z=found.log_z - coupling)
        return found._replace(specific_heat=found.specific_heat / coupling)

    with pytest.raises(AssertionError):
        judge_torus(broken)


def test_occupation_is_enumeration():
    share = enumerate_exact(
        Potts.lattice((3, 3), 3, 0.75),
        9,
        3,
        observe=lambda x: np.sum(x[:, :, 1], axis=1)[:, None] == np.arange(10)[None],
    )
    np.testing.assert_allclose(potts_torus_occupation(3, 3, 3, 0.75), share.observed, rtol=1e-11)


@pytest.mark.parametrize(
    ("sites", "states", "coupling"), [(5, 3, 0.75), (6, 4, -1.25), (3, 2, -0.5), (2, 3, 1.5), (7, 3, 0.0)]
)
def test_ring_is_enumeration(sites, states, coupling):
    energy = Potts.lattice((sites,), states, coupling)
    exact = enumerate_exact(energy, sites, states, observe=lambda x: np.sum(x[:, 0] * x[:, sites // 2], axis=1))
    found = potts_ring(sites, states, coupling)
    np.testing.assert_allclose(found, (exact.log_z, exact.energy / sites), rtol=1e-12, atol=1e-14)
    together = potts_ring_correlation(sites, states, coupling, sites // 2)
    np.testing.assert_allclose(together, exact.observed, rtol=1e-12)


def test_long_and_cold_rings_stay_finite():
    naive = 30 * math.log(math.exp(2.0) + 4) + math.log1p(4 * ((math.exp(2.0) - 1) / (math.exp(2.0) + 4)) ** 30)
    np.testing.assert_allclose(potts_ring(30, 5, 2.0).log_z, naive, rtol=1e-13)
    np.testing.assert_allclose(potts_ring(10**6, 3, 900.0).log_z, 9e8 + math.log(3), rtol=1e-12)
    # colourings of a ring with q colours: (q - 1)^N + (q - 1) (-1)^N
    np.testing.assert_allclose(potts_ring(9, 3, -800.0).log_z, math.log(2**9 - 2), rtol=1e-12)


def test_critical_points():
    for states, temperature, energy in (
        (2, 1.134592657106511, -1.7071067811865475),
        (3, 0.994972861071817, -1.5773502691896257),
        (4, 0.9102392266268373, -1.5),
        (5, 0.8515283616124156, -1.4472135954999579),
        (10, 0.7012315679302166, -1.316227766016838),
    ):
        coupling = potts_critical_coupling(states)
        np.testing.assert_allclose(1 / coupling, temperature, rtol=1e-12)
        np.testing.assert_allclose(potts_critical_energy(states) / coupling, energy, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Potts(PAIRS, 1.0, jnp.zeros((3, 3))), "Potts.pairs must name sites 0 to 2; got 0 to 3"),
        (lambda: Potts(PAIRS, 1.0, jnp.zeros((4, 1))), r"Potts.fields must be floating, of shape \(sites, states\)"),
        (lambda: Potts(PAIRS, jnp.ones(4), jnp.zeros((4, 3))), r"Potts.strengths must be a number or of shape \(5,\)"),
        (lambda: Potts(PAIRS, math.nan, jnp.zeros((4, 3))), "Potts.strengths must be finite"),
        (lambda: Potts.lattice((3,), 1, 1.0), "Potts.lattice.states must be an integer >= 2; got 1"),
        (lambda: glass()(jnp.zeros((4, 2))), r"x must be ONE one-hot sample of shape \(4, 3\)"),
        (lambda: potts_torus(4, 7, 3, 1.0), r"potts_torus.cols must leave a row at most 1024 states; got 3\^7"),
        (lambda: potts_torus(1, 2, 3, 1.0), "rows must be an integer >= 2"),
        (lambda: potts_torus_occupation(4, 6, 3, 1.0), r"at most 256 states; got 3\^6"),
        (lambda: potts_ring(1, 3, 1.0), "sites must be an integer >= 2"),
        (lambda: potts_ring(3, 2, -50.0), "must not be so negative on an odd ring"),
        (lambda: potts_ring_correlation(4, 3, 1.0, 5), "distance must be <= sites = 4; got 5"),
        (lambda: potts_critical_coupling(1), "states must be an integer >= 2; got 1"),
    ],
)
def test_refusals(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
