"""Wang-Landau against densities of states by enumeration and in closed form, with error bars that cover."""

import math
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import FunctionEnergy
from energax.energies import Ising, ising_density_of_states, ising_torus
from energax.free_energy import wang_landau
from energax.numerics import uniforms
from energax.samplers import BITS, CATEGORIES, SPINS
from judges import reach, refuses

pytestmark = pytest.mark.optimised

MODULE = sys.modules["energax.free_energy.wang_landau"]  # the face gives the function
# 4 x 4 torus, energies in J
TORUS = {0: 20524, 4: 13568, 8: 6688, 12: 1728, 16: 424, 20: 64, 24: 32, 32: 2}


def starts(num, sites):
    return jnp.where(uniforms(jax.random.key(3), (num, sites)) < 0.5, -1.0, 1.0)


@pytest.fixture(scope="module")
def torus():
    levels = np.array(sorted({-k for k in TORUS} | set(TORUS)), float)
    energy = Ising.lattice((4, 4), 1.0)
    return wang_landau(jax.random.key(0), energy, SPINS, starts(32, 16), levels, 450_000)


def test_the_density_of_states_of_the_four_by_four_torus(torus):
    exact = np.array([TORUS[abs(int(level))] for level in torus.levels], float)
    assert dict(zip(map(int, torus.levels), exact, strict=True)) == ising_density_of_states(4, 4)
    relative = np.exp(np.asarray(torus.log_g, np.float64)) / exact - 1.0
    assert np.abs(relative).max() < 0.02
    assert bool(torus.settled.all())
    assert np.abs(relative / np.asarray(torus.std_error)).max() < reach(15, freedom=31)
    assert float(torus.std_error.max()) < 0.015
    assert float(jnp.exp(torus.walkers).sum(1).max()) == pytest.approx(2.0**16, rel=1e-4)


def test_log_z_at_every_temperature_from_one_run(torus):
    for beta in (-0.2, 0.0, 0.2, 0.4406867935, 1.0):
        exact = ising_torus(4, 4, abs(beta)).log_z if beta else 16 * math.log(2.0)
        found = torus.log_z(beta)
        assert abs(float(found.estimate) - exact) < reach(freedom=31) * float(found.std_error) + 2e-5, beta


SITES, STATES = 6, 3
RING = {-k: math.comb(SITES, k) * (2 ** (SITES - k) + (-1) ** (SITES - k) * 2) for k in (0, 1, 2, 3, 4, 6)}


def ring(x):
    """Potts ring of six sites and three states: minus the number of equal neighbours; a lopsided density of states."""
    return -jnp.sum(x * jnp.roll(x, 1, axis=0))


def judge_ring(num_steps=60_000, energy=ring):
    levels = np.array(sorted(RING), float)
    xs = jax.nn.one_hot(jnp.zeros((32, SITES), int), STATES)
    found = wang_landau(jax.random.key(1), energy, CATEGORIES, xs, levels, num_steps)
    exact = np.log([RING[int(level)] for level in levels])
    np.testing.assert_allclose(found.log_g, exact, atol=0.05)
    return found, exact


def test_categories_with_a_lopsided_density_of_states():
    assert sum(RING.values()) == STATES**SITES
    found, exact = judge_ring()
    z = (np.asarray(found.log_g, np.float64) - exact) / np.asarray(found.std_error, np.float64)
    assert np.abs(z).max() < reach(6, freedom=31)


def test_the_error_falls_with_the_root_of_time_and_does_not_saturate():
    few, many = judge_ring(30_000)[0], judge_ring(480_000)[0]
    ratio = float(jnp.mean(few.std_error) / jnp.mean(many.std_error))
    assert 2.5 < ratio < 7.0  # 4 is the square root of 16


BUGS = {
    "ratio inverted": lambda log_g, rest, here, there: log_g[there] - log_g[here] + rest[there] - rest[here],
    "always accepted": lambda log_g, rest, here, there: jnp.zeros_like(log_g[here]),
    "half the ratio": lambda log_g, rest, here, there: 0.5 * (log_g[here] - log_g[there] + rest[here] - rest[there]),
    "a fifth of ln g forgotten": lambda log_g, rest, here, there: 0.8 * (log_g[here] - log_g[there]),
}


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs_are_caught(bug, monkeypatch):
    monkeypatch.setattr(MODULE, "_log_ratio", BUGS[bug])
    with pytest.raises(AssertionError):
        judge_ring(energy=lambda x: ring(x))  # another function: no compiled walk is used again


def test_energies_that_are_not_whole_go_to_the_nearest_level():
    found = wang_landau(
        jax.random.key(0),
        FunctionEnergy(lambda x: 0.3 * jnp.sum(x) + 1e-4 * x[0]),
        BITS,
        jnp.zeros((16, 5)),
        0.3 * np.arange(6),
        60_000,
    )
    np.testing.assert_allclose(jnp.exp(found.log_g), [1, 5, 10, 10, 5, 1], rtol=0.1)


def test_a_part_of_the_spectrum_and_a_level_that_does_not_occur():
    """Out of range is refused and still counted where the walk stands; a level without states stays at zero."""
    levels = np.array([0.0, 1.0, 1.5, 2.0, 3.0])
    found = wang_landau(jax.random.key(0), lambda x: jnp.sum(x), BITS, jnp.zeros((16, 6)), levels, 60_000)
    g = np.exp(np.asarray(found.log_g))
    np.testing.assert_allclose(g / g[0], [1, 6, 0, 15, 20], rtol=0.1)
    assert float(found.std_error[2]) == np.inf
    assert np.isfinite(float(found.log_z(1.0).estimate))


def test_refusals():
    key, energy, xs, levels = jax.random.key(0), (lambda x: jnp.sum(x)), jnp.zeros((4, 3)), np.arange(4.0)
    refused = {
        "levels must be at least two finite energies that ascend": lambda: wang_landau(
            key, energy, BITS, xs, np.array([1.0, 0.0]), 1000
        ),
        "xs must start within the range of levels; got 0.0 at walker 0": lambda: wang_landau(
            key, energy, BITS, xs, levels + 2.0, 1000
        ),
        "flatness must lie in": lambda: wang_landau(key, energy, BITS, xs, levels, 1000, flatness=1.0),
        "num_steps must be an integer >= 1; got 0": lambda: wang_landau(key, energy, BITS, xs, levels, 0),
        "block must be an integer >= 1; got 0": lambda: wang_landau(key, energy, BITS, xs, levels, 1000, block=0),
        "xs must be an array with samples on axis 0; got float": lambda: wang_landau(
            key, energy, BITS, [[0.0, 1.0], [1.0, 1.0]], levels, 1000
        ),
        "energy must be an energy or a function": lambda: wang_landau(key, 3, BITS, xs, levels, 1000),
        "sites must be SPINS": lambda: wang_landau(key, energy, "bits", xs, levels, 1000),
        "at least two walkers": lambda: wang_landau(key, energy, BITS, xs[:1], levels, 1000),
        "must map ONE sample to a scalar": lambda: wang_landau(key, lambda x: x, BITS, xs, levels, 1000),
    }
    for message, call in refused.items():
        with refuses(message):
            call()
