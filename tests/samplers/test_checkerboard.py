"""Colourings are proper, misfits refused, and a lattice sampled by colours has Kaufman's energy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import Ising
from energax.energies.ising import lattice_edges
from energax.samplers import CATEGORIES, SPINS, CheckerboardGibbs, checkerboard, colouring, init_chains, sample
from judges import judge_moments, reach


@pytest.mark.parametrize("shape", [(8,), (4, 6), (2, 2), (2, 4, 6)])
def test_no_edge_of_an_even_lattice_joins_like_colours(shape):
    colours, pairs = checkerboard(shape), lattice_edges(shape)
    assert np.all(colours[pairs[:, 0]] != colours[pairs[:, 1]])
    assert set(colours) == {0, 1}


def test_any_graph_is_coloured_properly_and_with_few_colours():
    rng = np.random.default_rng(0)
    for sites, edges in ((1, 0), (7, 3), (30, 60), (30, 400)):
        pairs = rng.integers(0, sites, (edges, 2))
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        colours = colouring(pairs, sites)
        degree = max(len({*pairs[pairs[:, 0] == i, 1], *pairs[pairs[:, 1] == i, 0]}) for i in range(sites))
        assert np.all(colours[pairs[:, 0]] != colours[pairs[:, 1]])
        assert np.array_equal(np.unique(colours), np.arange(colours.max() + 1))
        assert colours.max() <= degree


def test_the_energy_of_a_torus_is_kaufmans():
    """8 x 8 at the critical coupling: -1.491589107 per spin (ground_truth, Kaufman 1949)."""
    energy = Ising.lattice((8, 8), float(np.log1p(np.sqrt(2.0)) / 2))
    start = jnp.sign(jax.random.normal(jax.random.key(0), (256, 64)))
    exact = {"energy": (lambda x: energy(x) / (64 * energy.strengths[0]), -1.491589107)}
    sampler = CheckerboardGibbs(SPINS, checkerboard((8, 8)))
    judge_moments(sampler, energy, exact, start, burn_in=400, num_samples=100, thin=4)


def test_an_odd_lattice_is_sampled_too():
    energy = 2.0 * Ising.lattice((3, 3), 0.2, 0.1)
    sampler = CheckerboardGibbs(SPINS, colouring(lattice_edges((3, 3)), 9))
    chains = init_chains(sampler, energy, jnp.ones((500, 9)))
    _, draws = sample(jax.random.key(0), sampler, energy, chains, 40, burn_in=20)
    states = np.array(np.meshgrid(*[[-1.0, 1.0]] * 9, indexing="ij")).reshape(9, -1).T
    p = np.exp(-np.asarray(jax.vmap(energy)(jnp.asarray(states, jnp.float32)), np.float64))
    each = np.asarray(draws.x.mean((1, 2)), np.float64)
    z = (each.mean() - states.mean(1) @ p / p.sum()) / (each.std() / np.sqrt(500))
    assert abs(z) < reach()


def test_refusals():
    with pytest.raises(ValueError, match=r"colours must be integers of shape \(sites,\); got float64"):
        CheckerboardGibbs(SPINS, np.zeros(3))
    with pytest.raises(ValueError, match=r"must use every number from 0; got 2 colours between 0 and 2"):
        CheckerboardGibbs(SPINS, np.array([0, 2, 0]))
    with pytest.raises(ValueError, match=r"one number a site of x \(4\); got 3"):
        init_chains(CheckerboardGibbs(SPINS, np.array([0, 1, 0])), lambda x: jnp.sum(x), jnp.ones((2, 4)))
    with pytest.raises(ValueError, match=r"one number a site of x \(3\); got 9"):
        init_chains(CheckerboardGibbs(CATEGORIES, np.arange(9)), lambda x: jnp.sum(x), jnp.ones((2, 3, 3)))
    with pytest.raises(ValueError, match=r"checkerboard.shape must be even; got \(3, 4\)"):
        checkerboard((3, 4))
    with pytest.raises(ValueError, match=r"colouring.pairs must each join two of the sites 0 to 2"):
        colouring(np.array([[0, 3]]), 3)
    with pytest.raises(ValueError, match=r"colouring.pairs must be integers"):
        colouring(np.zeros(3), 3)
