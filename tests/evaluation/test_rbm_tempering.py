"""A machine across temperatures against exact sums, with planted bugs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import BernoulliRBM, bars_and_stripes_rbm
from energax.evaluation import rbm_averages, rbm_curves, rbm_sweep, rbm_tempering, singular_modes

BETAS = (0.25, 1.0, 1.5)
PLAN = {"levels": 10, "chains": 32, "sweeps": 600, "burn_in": 100, "thin": 2}


def worst(rows):
    return max(abs(off) for row in rows for off in row.deviations().values())


@pytest.fixture(scope="module")
def model():
    return bars_and_stripes_rbm(8.0)


@pytest.fixture(scope="module")
def found(model):
    return rbm_sweep(jax.random.key(1), model, BETAS, **PLAN)


def test_every_exact_value_is_met(found):
    assert worst(found.rows) < 4.5  # of 54, not independent
    for row in found.rows:
        assert len(row.deviations()) == 4 + 14
        assert all(observable.reliable for observable in row.observables.values())


def test_the_ladder_holds_what_was_asked_for_and_replicas_go_round(found):
    assert set(BETAS) < set(found.swaps.betas.tolist())
    assert len(found.swaps.betas) == 10
    assert (found.swaps.betas[0], found.swaps.betas[-1]) == (1.5, 0.0)
    assert found.swaps.accepted.min() > 0.5
    assert found.swaps.round_trips > 500
    assert found.projections.shape == (32 * 300, 2)


def test_tempering_the_weights_alone_is_caught(model, monkeypatch):
    def biases_forgotten(energy, beta):
        return BernoulliRBM(beta * energy.weights, energy.visible_bias, energy.hidden_bias)

    monkeypatch.setattr(rbm_tempering, "tempered_joint", biases_forgotten)
    assert worst(rbm_sweep(jax.random.key(1), model, BETAS, **PLAN).rows) > 10.0


def test_hidden_units_at_another_temperature_are_caught(model, monkeypatch):
    sound = rbm_tempering._Read

    def wrong(machine, vectors, ends, betas, places, dims):
        return sound(machine, vectors, ends, jnp.ones_like(betas), places, dims)

    monkeypatch.setattr(rbm_tempering, "_Read", wrong)
    assert worst(rbm_sweep(jax.random.key(1), model, BETAS, **PLAN).rows) > 8.0


def test_a_larger_machine_has_no_minima_and_says_what_it_knows():
    r = np.random.default_rng(0)
    parts = (r.normal(size=(18, 3)), r.normal(size=18), r.normal(size=3))
    model = BernoulliRBM(*(jnp.asarray(part, jnp.float32) for part in parts))
    found = rbm_sweep(jax.random.key(2), model, [0.5, 1.0], levels=3, chains=16, sweeps=400, burn_in=50)
    assert found.minima is None
    assert set(found.rows[0].deviations()) == {"joint_energy", "heat_capacity", "mode_1", "mode_2", "mode_3"}
    assert worst(found.rows) < 4.0


def test_curves_pass_through_the_exact_values(model):
    modes = singular_modes(model)
    curves = {curve.name: curve for curve in rbm_curves(model, modes, 0.5, 1.5, num=3)}
    assert set(curves) == {"joint_energy", "heat_capacity", "mode_1", "mode_2"}
    exact = rbm_averages(model, modes, 1.0)
    assert curves["joint_energy"].values[1] == exact.energy
    assert curves["mode_2"].values[1] == exact.power[1]
    wide = BernoulliRBM(jnp.ones((30, 30)), jnp.zeros(30), jnp.zeros(30))
    assert rbm_curves(wide, singular_modes(wide), 0.5, 1.5) == []


def test_refusals(model):
    for words in (
        {"betas": [0.0]},
        {"betas": [0.5, 0.5]},
        {"betas": [0.5], "levels": 1},
        {"betas": [0.5], "chains": 1},
        {"betas": [0.5], "sweeps": 10, "thin": 3},
        {"betas": [0.5], "sweeps": 6, "thin": 2},
        {"betas": [0.5], "burn_in": -1},
    ):
        with pytest.raises(ValueError, match=r"rbm_sweep.*must be"):
            rbm_sweep(jax.random.key(0), model, **words)
