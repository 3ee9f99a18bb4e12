"""Sweeps of the Ising model by local and cluster moves against exact answers, with planted bugs."""

import jax
import numpy as np
import pytest

from energax.energies import ISING_CRITICAL_COUPLING, ising_torus
from energax.evaluation import ising_curves, ising_sweep, ising_transition

BETAS = (0.3, 0.42, 0.6)
SMALL = {"chains": 16, "sweeps": 1000, "burn_in": 200, "thin": 5}


@pytest.fixture(scope="module")
def rows():
    return ising_sweep(jax.random.key(1), 8, BETAS, **SMALL)


def test_every_exact_value_is_met(rows):
    for row in rows:
        off = row.deviations()
        assert set(off) == {"energy", "specific_heat", "abs_magnetisation", "binder"}
        assert max(abs(value) for value in off.values()) < 4.5, (row.beta, off)
        assert all(row.observables[name].reliable for name in off)


@pytest.mark.parametrize("move", ["cluster", pytest.param("wolff", marks=pytest.mark.slow)])
def test_clusters_meet_them_too(move):
    plan = {"chains": 16, "sweeps": 600, "burn_in": 60, "thin": 2}
    for row in ising_sweep(jax.random.key(2), 8, BETAS, move=move, **plan):
        off = row.deviations()
        assert set(off) == {"energy", "specific_heat", "abs_magnetisation", "binder"}
        assert max(abs(value) for value in off.values()) < 4.5, (row.beta, off)
        assert all(row.observables[name].reliable for name in off)


def test_energies_are_in_units_of_j(rows):
    assert [row.beta for row in rows] == list(BETAS)
    np.testing.assert_allclose(rows[0].exact["energy"].value, ising_torus(8, 8, 0.3).energy / 0.3)
    assert -2.0 < rows[0].observables["energy"].value < 0.0


def test_a_sweep_at_another_temperature_is_caught(monkeypatch):
    sound = ising_transition.multispin
    monkeypatch.setattr(
        ising_transition, "multispin", lambda key, shape, k, **rest: sound(key, shape, 1.05 * k, **rest)
    )
    found = ising_sweep(jax.random.key(1), 8, BETAS, **SMALL)
    assert max(abs(value) for row in found for value in row.deviations().values()) > 8.0


def test_curves_pass_through_the_exact_values():
    curves = {curve.name: curve for curve in ising_curves(16, 0.3, 0.6, num=4)}
    np.testing.assert_allclose(curves["energy"].values[1], ising_torus(16, 16, 0.4).energy / 0.4)
    assert curves["abs_magnetisation"].of == "the infinite lattice"
    below = curves["abs_magnetisation"].betas < ISING_CRITICAL_COUPLING
    np.testing.assert_array_equal(curves["abs_magnetisation"].values[below], 0.0)


def test_refusals():
    for call in (
        lambda: ising_sweep(jax.random.key(0), 8, [0.3, -0.1]),
        lambda: ising_sweep(jax.random.key(0), 8, [[0.3]]),
        lambda: ising_sweep(jax.random.key(0), 8, [0.3], chains=1),
        lambda: ising_sweep(jax.random.key(0), 7, [0.3]),
        lambda: ising_sweep(jax.random.key(0), 66, [0.3]),
        lambda: ising_sweep(jax.random.key(0), 8, [0.3], sweeps=15, thin=5),  # three draws
        lambda: ising_sweep(0, 8, [0.3]),
        lambda: ising_sweep(jax.random.key(0), 8, [0.3], move="swap"),
        lambda: ising_sweep(jax.random.key(0), 8, [0.3], move="cluster", sweeps=10, thin=3),
    ):
        with pytest.raises(ValueError, match=r"ising_sweep.*must be"):
            call()
