"""The ladder against the Gaussian's: rejection is a function of the ratio of neighbours, so that equal is geometric."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import betainc

from energax.core import FunctionEnergy
from energax.samplers import MALA, ParallelTempering, adapt_ladder, advance, equal_steps, init_chains, ladder
from judges import refuses

DIM, HOT = 10, 0.1
ENERGY = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))


def accepted(cold, hot):
    """Exact mean acceptance of a swap between N(0, 1 / cold) and N(0, 1 / hot) in DIM dimensions."""
    ratio = hot / cold
    return 2.0 * betainc(DIM / 2, DIM / 2, ratio / (1.0 + ratio))


def pilot(betas, **options):
    sampler = ParallelTempering(MALA(0.2), betas, step_sizes=0.2 / betas, inner_steps=2)
    chains = init_chains(sampler, ENERGY, jnp.zeros((100, DIM)))
    return adapt_ladder(jax.random.key(0), sampler, ENERGY, chains, 20, **options)


@pytest.fixture(scope="module")
def found():
    return pilot(jnp.array([1.0, 0.9, 0.75, 0.6, 0.2, HOT]))


def test_a_bad_ladder_becomes_the_geometric_one(found):
    sampler, _, told = found
    exact = HOT ** (np.arange(6) / 5)
    np.testing.assert_allclose(np.log(sampler.betas), np.log(exact), atol=0.05)
    np.testing.assert_allclose(sampler.step_sizes, 0.2 / sampler.betas, rtol=0.1)
    each = 1.0 - accepted(exact[0], exact[1])
    np.testing.assert_allclose(told.rejection, each, atol=0.03)
    assert told.barrier == pytest.approx(5 * each, abs=0.1)
    assert told.num_replicas == round(2 * told.barrier) + 1
    np.testing.assert_array_equal(told.betas, sampler.betas)


def test_the_told_rejection_and_round_trips_are_those_of_a_run_after(found):
    sampler, chains, told = found
    before = chains.states
    chains, _ = advance(jax.random.key(1), sampler, ENERGY, chains, 1000)
    attempts = np.asarray(chains.states.attempts - before.attempts, np.float64)
    swaps = np.asarray(chains.states.swaps - before.swaps, np.float64)
    rejection = 1.0 - swaps / attempts
    error = rejection.std(0, ddof=1) / 10.0
    assert np.all(np.abs(rejection.mean(0) - np.asarray(told.rejection)) < 6.0 * error + 0.005)
    trips = np.asarray(chains.states.round_trips - before.round_trips, np.float64).mean() / 1000
    # moves between swaps are not independent draws: the rate is a bound that a well mixed ladder comes near to
    assert 0.6 * told.round_trip_rate < trips < 1.05 * told.round_trip_rate


def test_equal_steps_of_a_known_barrier():
    betas = np.array([1.0, 0.7, 0.4, 0.1, 0.0])
    # Lambda = sqrt(beta): the ladder of equal steps is (i / 4)^2
    np.testing.assert_allclose(equal_steps(betas, -np.diff(np.sqrt(betas))), (np.arange(4, -1, -1) / 4) ** 2, atol=0.02)
    still = equal_steps(betas, np.zeros(4))
    assert np.all(np.diff(still) < 0.0)
    wall = equal_steps(betas, np.array([0.0, 1.0, 0.0, 0.0]))
    assert np.all(np.diff(wall) < 0.0)
    assert 0.4 <= wall[1] <= 0.71
    assert 0.4 - 0.01 <= wall[3] <= 0.7


def test_levels_counted_from_the_wrong_end_are_caught(monkeypatch):
    right = equal_steps
    monkeypatch.setattr(ladder, "equal_steps", lambda betas, rejection: right(betas, rejection[::-1]))
    _, _, told = pilot(jnp.array([1.0, 0.9, 0.75, 0.6, 0.2, HOT]), num_rounds=3)
    assert float(told.rejection.max() - told.rejection.min()) > 0.2


def test_refusals():
    sampler = ParallelTempering(MALA(0.2), jnp.array([1.0, 0.5]))
    chains = init_chains(sampler, ENERGY, jnp.zeros((4, 2)))
    key = jax.random.key(0)
    refused = {
        "num_steps must be an integer >= 4; got 3": lambda: adapt_ladder(key, sampler, ENERGY, chains, 3),
        "num_rounds must be an integer >= 2; got 1": lambda: adapt_ladder(key, sampler, ENERGY, chains, 4, 1),
        "must be ParallelTempering": lambda: adapt_ladder(key, MALA(0.1), ENERGY, chains, 4),
        "one typed key": lambda: adapt_ladder(jax.random.PRNGKey(0), sampler, ENERGY, chains, 4),
    }
    for message, call in refused.items():
        with refuses(message):
            call()
