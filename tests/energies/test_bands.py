"""Sums over neighbours by shifts are the sums over the list of edges, on lattices, glasses and repeated edges."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import Ising, Potts, lattice_edges
from energax.energies.bands import bands, pair_energy

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


def derivatives(energy, strengths, fields, x, v):
    """E and its slopes in all three; those of the slope along v in strengths and x, backwards; and in x, forwards."""

    def along(strengths, x):
        return jnp.sum(v * jax.grad(energy, 2)(strengths, fields, x))

    first = jax.value_and_grad(energy, (0, 1, 2))(strengths, fields, x)
    forward = jax.jvp(lambda x: jax.grad(energy, 2)(strengths, fields, x), (x,), (v,))[1]
    return first, jax.grad(along, (0, 1))(strengths, x), forward


@pytest.mark.parametrize("row", [(), (3,)])
@pytest.mark.parametrize("name", ["torus of two rows", "open cube", "one edge thrice, backwards too"])
def test_every_derivative_is_that_of_the_sum_over_edges(name, row):
    pairs, sites = GRAPHS[name]
    found, key = bands(pairs, sites), jax.random.split(jax.random.key(1), 4)
    strengths = jax.random.normal(key[0], (len(pairs),))
    fields, x, v = (jax.random.normal(k, (sites, *row)) for k in key[1:])

    def plain(strengths, fields, x):
        ends = x[pairs[:, 0]] * x[pairs[:, 1]]
        return -jnp.sum(strengths.reshape((-1,) + (1,) * len(row)) * ends) - jnp.sum(fields * x)

    both = partial(pair_energy, found), plain
    fast, slow = (jax.jit(partial(derivatives, energy))(strengths, fields, x, v) for energy in both)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), fast, slow)


def test_derivatives_through_the_algebra_and_every_mode():
    """Hessians by both modes under vmap, linearize, slopes in beta and J of a tempered sum; all in closed form."""
    pairs = lattice_edges((3, 4))
    strengths, xs = jax.random.normal(jax.random.key(2), (len(pairs),)), jax.random.normal(jax.random.key(3), (5, 12))
    coupled = jnp.zeros((12, 12)).at[pairs[:, 0], pairs[:, 1]].add(strengths)
    coupled = coupled + coupled.T

    def energy(strengths, beta, x):
        return (beta * Ising(pairs, strengths, jnp.ones(12)) + Ising(pairs, 0.5, jnp.zeros(12))).given(None)(x)

    plain = jnp.zeros((12, 12)).at[pairs[:, 0], pairs[:, 1]].add(jnp.full(len(pairs), 0.5))
    curvature = -(0.7 * coupled + plain + plain.T)
    for hessian in (jax.jacfwd(jax.grad(energy, 2), 2), jax.jacrev(jax.grad(energy, 2), 2)):
        found = jax.jit(jax.vmap(hessian, (None, None, 0)))(strengths, 0.7, xs)
        np.testing.assert_allclose(found, jnp.broadcast_to(curvature, found.shape), atol=1e-5)
    slopes = jnp.einsum("ij,nj->ni", curvature, xs) - 0.7
    value, linear = jax.linearize(lambda x: energy(strengths, 0.7, x), xs[0])
    np.testing.assert_allclose(linear(xs[1]), jnp.sum(slopes[0] * xs[1]), rtol=1e-4)
    np.testing.assert_allclose(value, energy(strengths, 0.7, xs[0]), rtol=1e-4)
    d_strengths, d_beta = jax.vmap(jax.grad(energy, (0, 1)), (None, None, 0))(strengths, 0.7, xs)
    np.testing.assert_allclose(d_strengths, -0.7 * xs[:, pairs[:, 0]] * xs[:, pairs[:, 1]], atol=1e-5)
    np.testing.assert_allclose(d_beta, -0.5 * jnp.einsum("ni,ij,nj->n", xs, coupled, xs) - jnp.sum(xs, 1), atol=1e-4)


def test_an_ordered_list_of_edges_is_sliced():
    assert bands(lattice_edges((4, 6)), 24).starts == (24, 0, 24)
    assert None in bands(lattice_edges((4, 6), periodic=False), 24).starts


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
