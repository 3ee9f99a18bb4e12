"""Swendsen-Wang and Wolff: the bugs of cluster algorithms caught, Kaufman's energy, and the barrier that they cross."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contracts.discrete import Pairwise, truth
from energax.core import FunctionEnergy
from energax.energies import Ising, Potts
from energax.samplers import (
    SPINS,
    CheckerboardGibbs,
    SwendsenWang,
    Wolff,
    advance,
    checkerboard,
    init_chains,
    swendsen_wang,
    wolff,
)
from enumerated import fresh, judge_law, judge_movement, run
from judges import judge_moments

KERNELS = {"swendsen-wang": (SwendsenWang, swendsen_wang), "wolff": (Wolff, wolff)}
each = pytest.mark.parametrize("name", KERNELS)
MIXED = [(name, target) for name in KERNELS for target in ("glass", "potts")]


def caught(name, target, judge=judge_law):
    before, after = run(KERNELS[name][0](), truth(target), runner=fresh)
    with pytest.raises(AssertionError, match=judge.__name__):
        judge(before, after, truth(target))


@pytest.mark.parametrize("factor", [0.5, 2.0])
@pytest.mark.parametrize(("name", "target"), MIXED)
def test_a_bond_probability_wrong_by_two(monkeypatch, name, target, factor):
    right, module = swendsen_wang.draw_bonds, KERNELS[name][1]

    def wrong(key, terms, codes):
        return right(key, terms._replace(agreement=factor * terms.agreement), codes)

    monkeypatch.setattr(module, "draw_bonds", wrong)
    caught(name, target)


@pytest.mark.parametrize(("name", "target"), MIXED)
def test_a_forgotten_beta(monkeypatch, name, target):
    right = swendsen_wang.pair_terms
    monkeypatch.setattr(KERNELS[name][1], "pair_terms", lambda energy: right(energy.base))
    caught(name, target)


@pytest.mark.parametrize(("name", "target"), MIXED)
def test_forgotten_fields(monkeypatch, name, target):
    right = swendsen_wang.pair_terms

    def bare(energy):
        terms = right(energy)
        return terms._replace(fields=jnp.zeros_like(terms.fields))

    monkeypatch.setattr(KERNELS[name][1], "pair_terms", bare)
    caught(name, target)


@each
def test_bonds_between_like_neighbours_that_repel(monkeypatch, name):
    right = swendsen_wang.draw_bonds

    def wrong(key, terms, codes):
        return right(key, terms._replace(agreement=jnp.abs(terms.agreement)), codes)

    monkeypatch.setattr(KERNELS[name][1], "draw_bonds", wrong)
    caught(name, "glass")


@each
def test_half_labelled_clusters(monkeypatch, name):
    """One pass over the edges leaves long clusters in pieces."""

    def one_pass(pairs, bonds, sites):
        labels = jnp.arange(sites, dtype=jnp.int32)
        return labels.at[pairs[:, 1]].min(jnp.where(bonds, labels[pairs[:, 0]], sites))

    monkeypatch.setattr(KERNELS[name][1], "cluster_labels", one_pass)
    caught(name, "glass")


def test_wolff_without_its_test(monkeypatch):
    monkeypatch.setattr(wolff, "uniform", lambda key: jnp.zeros(()))
    caught("wolff", "glass")


def test_standing_still(monkeypatch):
    monkeypatch.setattr(swendsen_wang, "invert", lambda level, gains: jnp.zeros(level.shape, jnp.int32))
    caught("swendsen-wang", "glass", judge_movement)


@each
def test_the_torus_at_the_critical_point_is_kaufmans(name):
    """8 x 8: energy per spin -1.491589107, <|m|> .777331093 (ground_truth: Kaufman 1949 and a transfer matrix)."""
    energy = Ising.lattice((8, 8), float(np.log1p(np.sqrt(2.0)) / 2))
    start = jnp.sign(jax.random.normal(jax.random.key(0), (200, 64)))
    exact = {
        "energy": (lambda x: energy(x) / (64 * energy.strengths[0]), -1.491589107),
        "|m|": (lambda x: jnp.abs(jnp.mean(x)), 0.777331093),
        "m": (jnp.mean, 0.0),
    }
    judge_moments(KERNELS[name][0](), energy, exact, start, burn_in=60, num_samples=100)


def test_a_cold_lattice_is_turned_where_single_spins_never_cross():
    """16 x 16 at K = 0.6, all up: ten cluster steps make the sign a coin, a hundred sweeps leave every chain up."""
    energy, up = Ising.lattice((16, 16), 0.6), jnp.ones((100, 256))
    ends = {}
    for sampler, steps in (
        (SwendsenWang(), 10),
        (Wolff(), 10),
        (CheckerboardGibbs(SPINS, checkerboard((16, 16))), 100),
    ):
        chains, _ = advance(jax.random.key(0), sampler, energy, init_chains(sampler, energy, up), steps)
        ends[type(sampler).__name__] = np.asarray(chains.states.x.mean(1))
    assert np.all(ends["CheckerboardGibbs"] > 0.5)
    assert abs(np.mean(ends["SwendsenWang"] > 0) - 0.5) < 0.2  # 4 standard errors
    assert 0.0 < np.mean(ends["Wolff"] > 0) < 1.0


def test_info_counts_clusters_and_their_size():
    free = Ising(np.zeros((0, 2), int), 0.0, jnp.zeros(7))
    _, info = advance(jax.random.key(0), SwendsenWang(), free, init_chains(SwendsenWang(), free, jnp.ones((3, 7))), 1)
    assert info.clusters.tolist() == [7, 7, 7]
    _, info = advance(jax.random.key(0), Wolff(), free, init_chains(Wolff(), free, jnp.ones((3, 7))), 1)
    assert info.size.tolist() == [1, 1, 1]


@each
def test_three_states_that_repel_are_not_served_and_it_says_so(name):
    sampler, energy = KERNELS[name][0](), Potts.lattice((4,), 3, -1.0)
    start = jax.nn.one_hot(jnp.array([[0, 1, 2, 1]]), 3)
    chains, info = advance(jax.random.key(0), sampler, energy, init_chains(sampler, energy, start), 5)
    assert bool(info.divergent[0])
    assert float(info.acceptance[0]) == 0.0
    np.testing.assert_array_equal(chains.states.x, start)


@each
def test_refusals(name):
    sampler, title = KERNELS[name][0](), KERNELS[name][0].__name__
    with pytest.raises(ValueError, match=r"sum over pairs of sites \(an AbstractPairEnergy\); got FunctionEnergy"):
        init_chains(sampler, FunctionEnergy(lambda x: jnp.sum(x)), jnp.ones((2, 5)))
    energy = Pairwise(jnp.ones(6), jnp.zeros((5, 3)))
    with pytest.raises(ValueError, match=rf"{title}: x must hold one-hot rows or two-state spins of 5 sites; got 5"):
        sampler.init(energy, jnp.ones(5))
