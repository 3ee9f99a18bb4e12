"""Sums over neighbours by shifts are the sums over the list of edges, on lattices, glasses and repeated edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import Ising, Potts, lattice_edges
from energax.energies.bands import bands

RNG = np.random.default_rng(0)
GRAPHS = {
    "ring of two": (lattice_edges((2,)), 2),
    "torus of two rows": (lattice_edges((2, 5)), 10),
    "open cube": (lattice_edges((3, 4, 2), periodic=False), 24),
    "torus": (lattice_edges((4, 6)), 24),
    "one edge thrice, backwards too": (np.array([[3, 1], [1, 3], [0, 4], [1, 3]]), 6),
    "all pairs": (np.stack(np.triu_indices(7, 1), axis=1), 7),
}


def judge_bands(found, pairs, sites):
    strengths = jnp.asarray(RNG.normal(size=len(pairs)), jnp.float32)
    for row in ((), (3,)):
        x = jnp.asarray(RNG.normal(size=(sites, *row)), jnp.float32)
        pair_sum, neighbour_sum = 0.0, np.zeros((sites, *row))
        for (a, b), strength in zip(pairs, np.asarray(strengths, np.float64), strict=True):
            pair_sum += strength * np.sum(np.asarray(x[a], np.float64) * np.asarray(x[b], np.float64))
            neighbour_sum[a] += strength * np.asarray(x[b])
            neighbour_sum[b] += strength * np.asarray(x[a])
        value, slope = jax.jit(jax.value_and_grad(lambda s, x: found.pair_sum(s, x), 1))(strengths, x)
        np.testing.assert_allclose(value, pair_sum, atol=1e-5)
        np.testing.assert_allclose(slope, neighbour_sum, atol=1e-5)
        np.testing.assert_allclose(
            jax.jit(lambda s, x: found.neighbour_sum(s, x))(strengths, x), neighbour_sum, atol=1e-5
        )


@pytest.mark.parametrize("name", GRAPHS)
def test_shifts_are_the_sum_over_edges(name):
    pairs, sites = GRAPHS[name]
    judge_bands(bands(pairs, sites), pairs, sites)


@pytest.mark.parametrize("bug", ["repeats lost", "wrong place"])
def test_the_judge_catches(bug):
    pairs, sites = GRAPHS["one edge thrice, backwards too"]
    shuffled = pairs[[0, 2, 1, 3]] if bug == "wrong place" else pairs
    found = bands(shuffled if bug == "wrong place" else pairs[:3], sites)
    with pytest.raises(AssertionError):
        judge_bands(found, pairs, sites)


def test_a_graph_without_order_falls_back_to_its_list():
    sites = 400
    pairs = np.array([[i, int(j)] for i in range(sites) for j in RNG.integers(0, sites, 2) if i != j])
    assert bands(pairs, sites) is None
    assert bands(np.zeros((0, 2), int), 3) is None
    strengths = jnp.asarray(RNG.normal(size=len(pairs)), jnp.float32)
    spins = jnp.asarray(RNG.choice([-1.0, 1.0], size=sites), jnp.float32)
    ising = Ising(pairs, strengths, jnp.zeros(sites))
    potts = Potts(pairs, 2 * strengths, jnp.zeros((sites, 2)))
    kinds = jax.nn.one_hot((spins > 0).astype(jnp.int32), 2)
    np.testing.assert_allclose(potts(kinds), ising(spins) - jnp.sum(strengths), rtol=1e-4)
    fields = potts.local_field(kinds)
    np.testing.assert_allclose(fields[:, 1] - fields[:, 0], 2 * ising.local_field(spins), atol=1e-4)
    np.testing.assert_allclose(ising.local_field(spins), -jax.grad(ising)(spins), atol=1e-4)
    np.testing.assert_allclose(fields, -jax.grad(potts)(kinds), atol=1e-4)


def test_a_lattice_of_traced_or_trained_strengths_keeps_its_bands():
    x = jnp.ones(16)
    kinds = jax.nn.one_hot(jnp.zeros(16, int), 2)
    slope = jax.grad(lambda s: Potts(lattice_edges((4, 4)), s, jnp.zeros((16, 2)))(kinds))
    np.testing.assert_array_equal(slope(jnp.ones(32)), -1.0)
    energy = jax.tree.map(lambda a: 2.0 * a if a.dtype == jnp.float32 else a, Ising.lattice((4, 4), 0.5))
    assert energy.bands is not None
    np.testing.assert_allclose(energy.local_field(x), 4.0)
