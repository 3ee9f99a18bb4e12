"""Multi-spin coding against a spin-by-spin sweep on the same random bits, Kaufman's torus and enumeration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import Ising, ising_torus
from energax.energies.enumeration import state_blocks
from energax.numerics import chain_keys
from energax.numerics.random import random_blocks
from energax.samplers import multispin
from energax.samplers.multispin import _half_sweep, _packed, _run, _unpacked, thresholds
from judges import _z, refuses, verdict

pytestmark = pytest.mark.optimised


def slow_half_sweep(keys, step, colour, grid, limits):
    """One colour anew, spin by spin, from the same words: bit j of u is bit `place` of word number j."""
    lattices, rows, cols = grid.shape
    words_a_row = -(-cols // 64)
    number = words_a_row * rows
    new = grid.copy()
    for lattice in range(lattices):
        pairs = colour * 16 + np.arange(16)
        blocks = jnp.asarray(pairs[:, None] * number + np.arange(number)[None], jnp.uint32)
        drawn = [np.asarray(w, np.uint64) for w in random_blocks(keys[lattice], step, blocks)]
        for row in range(rows):
            for j in range(cols // 2):
                col = 2 * j + (row + colour) % 2
                word, place = (j // 32) * rows + row, np.uint64(j % 32)
                bits = np.stack([drawn[0][:, word], drawn[1][:, word]], 1).reshape(-1) >> place & np.uint64(1)
                u = int("".join(str(bit) for bit in bits), 2)
                near = [(row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)]
                up = sum(grid[lattice, r % rows, c % cols] > 0 for r, c in near)
                new[lattice, row, col] = 1.0 if u < int(limits[lattice, up]) else -1.0
    return new


@pytest.mark.parametrize("shape", [(4, 8), (2, 64), (2, 128)])
def test_a_sweep_is_the_heat_bath_spin_by_spin(shape):
    rows, cols = shape
    spins = np.sign(np.random.default_rng(1).normal(size=(2, rows * cols))).astype(np.float32)
    limits = thresholds(np.array([0.3, 0.6]), np.array([0.1, -0.2]))
    keys, grid = chain_keys(jax.random.key(4), 2), spins.reshape(2, rows, cols)
    halves = tuple(_packed(spins, rows, cols))
    step = jax.jit(_half_sweep, static_argnums=6)
    for colour in (0, 1):
        new = step(keys, jnp.uint32(7), jnp.uint32(colour), *halves, jnp.asarray(limits), cols // 2)
        halves = halves[1], new
        grid = slow_half_sweep(keys, 7, colour, grid, limits)
    np.testing.assert_array_equal(_unpacked(*halves, cols // 2), grid.reshape(2, -1))


def test_thresholds_are_the_heat_bath():
    odds = thresholds(np.array([0.4]), np.array([0.3]))[0].astype(np.float64) / 2.0**32
    np.testing.assert_allclose(odds, 1 / (1 + np.exp(-2 * (0.4 * np.array([-4, -2, 0, 2, 4]) + 0.3))), atol=1e-9)


def judge_torus(shape, coupling, lattices, sweeps):
    found = multispin(
        jax.random.key(2), shape, coupling, num_sweeps=1, burn_in=sweeps, num_lattices=lattices
    )  # each lattice measured once: independent
    exact = ising_torus(*shape, coupling).energy * shape[0] * shape[1]
    return verdict("Kaufman's torus", {"energy": _z(np.asarray(found.energy, np.float64)[:, 0], exact)})


@pytest.mark.parametrize(("shape", "coupling"), [((8, 8), 0.3), ((8, 8), 0.44)])
def test_energy_is_kaufmans(shape, coupling):
    judge_torus(shape, coupling, 3000, 400)


def test_energy_and_magnetisation_are_those_of_the_spins():
    found = multispin(jax.random.key(2), (4, 6), 0.3, 0.2, num_sweeps=4, thin=2, num_lattices=3)
    model = Ising.lattice((4, 6), 0.3, 0.2)
    np.testing.assert_allclose(found.energy[:, -1], jax.vmap(model)(found.x), rtol=1e-5)
    np.testing.assert_array_equal(found.magnetisation[:, -1], found.x.sum(1))
    assert found.energy.shape == (3, 2)


def test_in_a_field_the_moments_are_the_enumerated_ones():
    model, spins = Ising.lattice((4, 4), 0.35, 0.15), np.concatenate(list(state_blocks(16)))
    energies = np.asarray(jax.vmap(model)(jnp.asarray(spins, jnp.float32)), np.float64)
    weights = np.exp(-energies + energies.min())
    weights /= weights.sum()
    found = multispin(jax.random.key(3), (4, 4), 0.35, 0.15, num_sweeps=1, burn_in=60, num_lattices=20_000)
    magnetisation = np.asarray(found.magnetisation, np.float64)[:, 0]
    scores = {
        "energy": _z(np.asarray(found.energy, np.float64)[:, 0], weights @ energies),
        "m": _z(magnetisation, weights @ spins.sum(1)),
        "m^2": _z(magnetisation**2, weights @ spins.sum(1) ** 2),
    }
    verdict("4 x 4 in a field", scores)


@pytest.mark.parametrize("bug", ["factor 2", "no correlation", "wrong neighbour"])
def test_planted_bugs_are_caught(bug, monkeypatch):
    module = __import__("energax.samplers.multispin", fromlist=["_"])
    if bug == "wrong neighbour":
        monkeypatch.setattr(module, "_turned", lambda words, width, by: words)
    else:
        factor = {"factor 2": 0.5, "no correlation": 0.0}[bug]
        monkeypatch.setattr(module, "thresholds", lambda coupling, field: thresholds(factor * coupling, field))
    _run.clear_cache()
    with pytest.raises(AssertionError, match="standard errors off"):
        judge_torus((8, 8), 0.3, 3000, 400)
    _run.clear_cache()


def test_a_lattice_does_not_know_how_many_there_are_nor_a_run_its_length():
    few = multispin(jax.random.key(5), (4, 8), 0.3, num_sweeps=6, num_lattices=2)
    many = multispin(
        jax.random.key(5), (4, 8), np.array([0.3, 0.3, 0.9]), num_sweeps=3, thin=1, burn_in=3, num_lattices=3
    )
    np.testing.assert_array_equal(few.x, many.x[:2])
    np.testing.assert_array_equal(few.energy[:, 3:], many.energy[:2])
    again = multispin(jax.random.key(5), (4, 8), 0.3, num_sweeps=2, num_lattices=2, x=few.x)
    assert again.x.shape == few.x.shape


def test_other_couplings_compile_nothing():
    multispin(jax.random.key(5), (4, 8), 0.3, num_sweeps=6, num_lattices=2)
    before = _run._cache_size()
    multispin(jax.random.key(6), (4, 8), np.array([0.2, 0.7]), 0.1, num_sweeps=6, num_lattices=2)
    assert _run._cache_size() == before


def test_refusals():
    key = jax.random.key(0)
    refused = {
        "must be even, with columns up to 64 or a multiple of 64; got 4 x 66": lambda: multispin(
            key, (4, 66), 0.3, num_sweeps=1
        ),
        r"shape must be \(rows, cols\)": lambda: multispin(key, (4, 4, 4), 0.3, num_sweeps=1),
        "num_sweeps must be an integer >= 1; got 0": lambda: multispin(key, (4, 4), 0.3, num_sweeps=0),
        "must be a multiple of thin = 2; got 3": lambda: multispin(key, (4, 4), 0.3, num_sweeps=3, thin=2),
        "coupling must be finite": lambda: multispin(key, (4, 4), np.nan, num_sweeps=1),
        r"field must be a number or of shape \(2,\)": lambda: multispin(
            key, (4, 4), 0.3, np.zeros(3), num_sweeps=1, num_lattices=2
        ),
        r"must hold spins -1 and \+1 of shape \(1, 16\)": lambda: multispin(
            key, (4, 4), 0.3, num_sweeps=1, x=np.zeros((1, 16))
        ),
        "one typed key": lambda: multispin(jax.random.PRNGKey(0), (4, 4), 0.3, num_sweeps=1),
    }
    for message, call in refused.items():
        with refuses(message):
            call()
