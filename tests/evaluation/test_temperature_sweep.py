"""The runner of a temperature sweep against the runner of `samplers`, step by step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import Ising
from energax.evaluation import Exact, SweepRow, chain_sweep, observe
from energax.evaluation.temperature_sweep import in_units
from energax.samplers import SwendsenWang, init_chains, sample

ENERGY = Ising.lattice((4, 4), 1.0)
START = jnp.ones((3, 16))
TRACES = []


def first_spins(x):
    TRACES.append(1)
    return {"first": x[:2]}


def test_it_records_what_sample_draws_and_compiles_once():
    TRACES.clear()
    key = jax.random.key(0)
    found = chain_sweep(key, SwendsenWang(), ENERGY, [0.3, 0.5, 0.7], START, first_spins, sweeps=20, burn_in=6, thin=4)
    assert len(TRACES) <= 2  # its shape, and the program of all temperatures
    for part, beta, draws in zip(jax.random.split(key, 3), (0.3, 0.5, 0.7), found, strict=True):
        level = jnp.asarray(beta, jnp.float32) * ENERGY
        chains = init_chains(SwendsenWang(), level, START)
        _, kept = sample(part, SwendsenWang(), level, chains, 5, thin=4, burn_in=6)
        np.testing.assert_array_equal(draws.statistic["first"], kept.x[..., :2])
        np.testing.assert_allclose(draws.energy, kept.energy / beta, rtol=1e-5)
        assert not draws.divergent


def test_only_what_is_of_this_very_system_is_judged():
    found = observe(np.random.default_rng(0).normal(size=(4, 100)))
    stuck = observe(np.ones((4, 100)))
    known = {"a": Exact(0.0, "this lattice"), "b": Exact(9.0, "the infinite lattice"), "c": Exact(0.0, "this machine")}
    row = SweepRow(1.0, {"a": found, "b": found, "c": stuck}, known)
    assert row.deviations() == {"a": found.value / found.std_error}


def test_chains_that_met_a_bad_number_are_not_reliable():
    found = {"energy": observe(np.random.default_rng(0).normal(size=(40, 100)))}
    assert in_units(found, 2.0)["energy"].value == 0.5 * found["energy"].value
    assert in_units(found, 2.0)["energy"].reliable
    assert not in_units(found, 2.0, sound=False)["energy"].reliable


def test_refusals():
    for words in (
        {"betas": [0.0], "sweeps": 10},
        {"betas": [0.5], "sweeps": 0},
        {"betas": [0.5], "sweeps": 10, "thin": 3},
        {"betas": [0.5], "sweeps": 10, "burn_in": -1},
    ):
        with pytest.raises(ValueError, match="must be"):
            chain_sweep(jax.random.key(0), SwendsenWang(), ENERGY, xs=START, statistic=jnp.mean, **words)
