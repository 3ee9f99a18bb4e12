"""Sweeps of the Potts model by every move against exact answers, with planted bugs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import (
    Potts,
    enumerate_exact,
    ising_torus,
    potts_critical_coupling,
    potts_critical_energy,
    potts_torus,
)
from energax.evaluation import potts_curves, potts_sweep, potts_transition
from energax.samplers import SwendsenWang

BETAS = (0.7, 1.0, 1.3)
PLANS = {
    "cluster": {"chains": 16, "sweeps": 600, "burn_in": 60, "thin": 2},
    "local": {"chains": 16, "sweeps": 2000, "burn_in": 200, "thin": 10},
    "wolff": {"chains": 16, "sweeps": 1000, "burn_in": 100, "thin": 4},
}


@pytest.mark.parametrize("move", PLANS)
def test_every_exact_value_is_met(move):
    for row in potts_sweep(jax.random.key(1), 4, 3, BETAS, move=move, **PLANS[move]):
        off = row.deviations()
        assert set(off) == {"energy", "specific_heat", "alignment"}
        assert max(abs(value) for value in off.values()) < 4.5, (row.beta, off)
        assert all(row.observables[name].reliable for name in off)


def test_two_states_are_the_ising_model():
    row = potts_sweep(jax.random.key(2), 6, 2, [0.8], **PLANS["cluster"])[0]
    off = row.deviations()
    assert set(off) == {"energy", "specific_heat", "order_parameter", "order_binder", "alignment"}
    assert max(abs(value) for value in off.values()) < 4.5, off
    np.testing.assert_allclose(row.exact["energy"].value, 0.5 * ising_torus(6, 6, 0.4).energy / 0.4 - 1.0)


@pytest.mark.parametrize("states", [2, 3])
def test_the_exact_values_are_those_of_enumeration(states):
    """The torus of 2 x 2 sites, each joined twice to two others, state by state."""
    beta = 0.9
    found = enumerate_exact(beta * Potts.lattice((2, 2), states, 1.0), 4, states)
    codes = np.stack(np.meshgrid(*[range(states)] * 4, indexing="ij"), -1).reshape(-1, 4)
    pairs = [(0, 1), (1, 0), (2, 3), (3, 2), (0, 2), (2, 0), (1, 3), (3, 1)]
    energy = -sum((codes[:, a] == codes[:, b]).astype(float) for a, b in pairs)
    p = np.exp(-beta * energy)
    np.testing.assert_allclose(np.log(p.sum()), found.log_z, rtol=1e-6)
    p /= p.sum()
    shares = np.stack([(codes == s).mean(axis=1) for s in range(states)], 1)
    known = potts_transition._exact(2, states, beta)
    np.testing.assert_allclose(known["energy"].value, p @ energy / 4, rtol=1e-10)
    variance = p @ energy**2 - (p @ energy) ** 2
    np.testing.assert_allclose(known["specific_heat"].value, beta**2 * variance / 4, rtol=1e-10)
    alignment = (states * (shares**2).sum(axis=1) - 1.0) / (states - 1)
    np.testing.assert_allclose(known["alignment"].value, p @ alignment, rtol=1e-10)
    if states == 2:
        order = (states * shares.max(axis=1) - 1.0) / (states - 1)
        np.testing.assert_allclose(known["order_parameter"].value, p @ order, rtol=1e-10)


def test_a_sweep_at_another_temperature_is_caught(monkeypatch):
    class Wrong(SwendsenWang):
        def step(self, key, energy, state):
            return SwendsenWang.step(self, key, jnp.asarray(1.05, jnp.float32) * energy, state)

    monkeypatch.setattr(potts_transition, "SwendsenWang", Wrong)
    found = potts_sweep(jax.random.key(1), 4, 3, BETAS, **PLANS["cluster"])
    assert max(abs(value) for row in found for value in row.deviations().values()) > 7.0


def test_a_large_lattice_is_not_judged_and_its_critical_energy_is_drawn(monkeypatch):
    monkeypatch.setattr(potts_transition, "MOST_ROWS", 80)
    monkeypatch.setattr(potts_transition, "MOST_OCCUPIED", 80)
    row = potts_sweep(jax.random.key(1), 4, 3, [0.9], **PLANS["cluster"])[0]
    assert row.exact == {}
    assert row.deviations() == {}
    critical = potts_critical_coupling(3)
    (point,) = potts_curves(8, 3, 0.9, 1.1)
    assert (point.name, point.of) == ("energy", "the infinite lattice")
    np.testing.assert_allclose([*point.betas, *point.values], [critical, potts_critical_energy(3) / critical])
    assert potts_curves(8, 3, 0.5, 0.9) == []


def test_curves_pass_through_the_exact_values():
    energy, heat, point = potts_curves(4, 3, 0.8, 1.1, num=4)
    np.testing.assert_allclose(energy.values[1], potts_torus(4, 4, 3, 0.9).energy / 0.9)
    np.testing.assert_allclose(heat.values[3], potts_torus(4, 4, 3, 1.1).specific_heat)
    assert point.betas.shape == (1,)


def test_refusals():
    for call in (
        lambda: potts_sweep(jax.random.key(0), 4, 3, [0.3, -0.1]),
        lambda: potts_sweep(jax.random.key(0), 4, 3, [[0.3]]),
        lambda: potts_sweep(jax.random.key(0), 4, 1, [0.3]),
        lambda: potts_sweep(jax.random.key(0), 1, 3, [0.3]),
        lambda: potts_sweep(jax.random.key(0), 4, 3, [0.3], chains=1),
        lambda: potts_sweep(jax.random.key(0), 4, 3, [0.3], sweeps=10, thin=3),
        lambda: potts_sweep(jax.random.key(0), 4, 3, [0.3], sweeps=3),
        lambda: potts_sweep(jax.random.key(0), 4, 3, [0.3], move="metropolis"),
    ):
        with pytest.raises(ValueError, match=r"potts_sweep.*must be"):
            call()
