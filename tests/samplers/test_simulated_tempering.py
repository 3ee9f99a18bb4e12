"""Simulated tempering: moves between levels by enumeration, the joint law from exact draws, log Z from visits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import FunctionEnergy
from energax.samplers import (
    MALA,
    SimulatedTempering,
    advance,
    init_chains,
    learn_weights,
    level_log_z,
    parallel_tempering,
    sample_levels,
    simulated_tempering,
)
from judges import _z, reach, refuses, target, tilted_well, verdict
from samplers.kernels import Place, Still

LADDER = jnp.array([1.0, 0.5, 0.2])


def level_error(family=parallel_tempering.tempered_energy):
    """max |pi P - pi| of the move between levels, over four values of x and three levels; float64."""
    with jax.enable_x64(True):
        values = jnp.linspace(-1.0, 2.0, 4, dtype=jnp.float64)
        energy = FunctionEnergy(lambda x: 0.5 * x**2 + jnp.sin(2.0 * x))
        betas, weights = jnp.array([1.0, 0.6, 0.25]), jnp.array([0.3, -0.2, 0.7])
        sampler = SimulatedTempering(Still(), betas, weights, family=family)
        log_pi = -jax.vmap(lambda b: jax.vmap(b * energy)(values))(betas) + weights[:, None]
        pi = np.asarray(jax.nn.softmax(log_pi.ravel())).reshape(3, 4)

        def one(level, x, key):
            state = sampler.init(energy, x)._replace(level=level)
            new, info = sampler.step(key, energy, state)
            return info.proposed, info.level_acceptance, new.level

        levels, keys = jnp.arange(3, dtype=jnp.int32), jax.random.split(jax.random.key(0), 2000)
        every = jax.vmap(jax.vmap(jax.vmap(one, (None, None, 0)), (None, 0, None)), (0, None, None))
        proposed, chance, after = map(np.asarray, jax.jit(every)(levels, values, keys))
        matrix = np.zeros((4, 3, 3))
        for i in range(3):
            for x in range(4):
                for j in (i - 1, i + 1):
                    told = chance[i, x][proposed[i, x] == j]
                    assert np.ptp(told) < 1e-15
                    assert abs(len(told) / 2000 - 0.5) < 0.06
                    taken = np.mean(after[i, x][proposed[i, x] == j] == j)
                    assert abs(taken - told[0]) < reach() * np.sqrt(told[0] * (1 - told[0]) / len(told)) + 1e-9
                    if 0 <= j < 3:
                        matrix[x, i, j] += 0.5 * told[0]
                matrix[x, i, i] = 1.0 - matrix[x, i].sum()
        return max(np.abs(pi[:, x] @ matrix[x] - pi[:, x]).max() for x in range(4))


def test_a_move_between_levels_leaves_the_joint_law_invariant():
    assert level_error() < 1e-14


BUGS = {
    "weights with the wrong sign": lambda own, cross, here, there: own - cross - there + here,
    "weights forgotten": lambda own, cross, here, there: own - cross,
    "ratio inverted": lambda own, cross, here, there: cross - own + there - here,
}


@pytest.mark.parametrize("bug", BUGS)
def test_planted_ratios_are_caught(bug, monkeypatch):
    monkeypatch.setattr(simulated_tempering, "_log_ratio", BUGS[bug])
    assert level_error() > 1e-3


def test_the_temperature_for_beta_is_caught():
    assert level_error(lambda energy, beta: (1.0 / beta) * energy) > 1e-3


class StaleMALA(MALA):
    """Forgets to renew what it caches."""

    def refresh(self, energy, state):
        return state


def judge_joint(inner, num_chains=40_000, beta=2.0):
    """Exact draws of (x, level) keep their joint law: level shares, and the moments of x at every level."""
    truths = [target(tilted_well, -5.0, 5.0, beta=beta * float(b)) for b in LADDER]
    grid = truths[0].grid
    z = [np.trapezoid(np.exp(-beta * float(b) * ((grid**2 - 1) ** 2 + 0.5 * grid)), grid) for b in LADDER]
    weights = jnp.array([0.0, -0.4, 0.1])
    share = np.asarray(z) * np.exp(np.asarray(weights, np.float64))
    share /= share.sum()
    level = np.random.default_rng(99).choice(3, num_chains, p=share).astype(np.int32)
    starts = jnp.stack([truth.sample(seed, num_chains) for seed, truth in enumerate(truths)], 1)
    sampler = SimulatedTempering(inner, LADDER, weights, step_sizes=jnp.array([0.05, 0.1, 0.25]))
    energy = truths[0].energy
    x = starts[jnp.arange(num_chains), level]
    chains = init_chains(sampler, energy, x)
    states = chains.states._replace(level=jnp.asarray(level), inner=chains.states.inner._replace(x=x))
    chains, _ = advance(jax.random.key(1), sampler, energy, type(chains)(states), 6)
    x, after = np.asarray(chains.states.x, np.float64)[:, 0], np.asarray(chains.states.level)
    assert np.mean(after != level) > 0.3
    scores = {}
    for i, truth in enumerate(truths):
        there = (after == i).astype(np.float64)
        scores[f"share {i}"] = _z(there, share[i])
        scores[f"share {i}, paired"] = _z(there - (level == i), 0.0)
        for name, f in {"x": lambda x: x, "x^2": lambda x: x**2, "sin 2x": lambda x: np.sin(2 * x)}.items():
            exact = np.trapezoid(f(truth.grid) * truth.density, truth.grid)
            scores[f"{name} at {i}"] = _z(there * (f(x) - exact), 0.0)
    return verdict("judge_joint", scores)


def test_exact_draws_stay_exact():
    judge_joint(MALA(0.05))


def test_stale_energies_after_a_move_are_caught():
    with pytest.raises(AssertionError, match="standard errors off"):
        judge_joint(StaleMALA(0.05))


def test_learned_weights_are_minus_log_z_and_visits_tell_the_rest():
    """N(0, 1 / beta) in four dimensions: log(Z_i / Z_0) = -2 log beta_i."""
    betas = jnp.array([1.0, 0.5, 0.25, 0.1])
    exact = -2.0 * np.log(np.asarray(betas, np.float64))
    energy = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))
    sampler = SimulatedTempering(MALA(0.5), betas, step_sizes=0.5 / betas)
    chains = init_chains(sampler, energy, jnp.zeros((200, 4)))
    sampler, chains = learn_weights(jax.random.key(0), sampler, energy, chains, 1000)
    np.testing.assert_allclose(sampler.weights, -exact, atol=0.15)
    assert int(chains.states.visits.sum()) == 0
    chains, _ = advance(jax.random.key(1), sampler, energy, chains, 1000)
    visits = np.asarray(chains.states.visits.sum(0), np.float64)
    np.testing.assert_allclose(visits / visits.sum(), 0.25, atol=0.04)
    found = level_log_z(sampler, chains)
    z = (np.asarray(found.estimate, np.float64) - exact)[1:] / np.asarray(found.std_error, np.float64)[1:]
    assert np.all(np.abs(z) < reach()), z
    assert np.all(np.asarray(found.std_error[1:]) < 0.05)
    assert float(found.estimate[0]) == 0.0


def test_both_wells_by_the_draws_of_level_zero():
    betas = jnp.array([1.0, 0.6, 0.35, 0.2, 0.1])
    energy = FunctionEnergy(lambda x: jnp.sum(8.0 * (x**2 - 1.0) ** 2 + 0.5 * x))
    sampler = SimulatedTempering(MALA(0.02), betas, step_sizes=0.02 / betas)
    chains = init_chains(sampler, energy, jnp.ones((200, 1)))
    sampler, chains = learn_weights(jax.random.key(0), sampler, energy, chains, 1500)
    _, x, levels = sample_levels(jax.random.key(1), sampler, energy, chains, 1000)
    cold = np.asarray(levels == 0, np.float64)
    each = (cold * (np.asarray(x[..., 0]) > 0.0)).sum(1) / cold.sum(1).mean()
    right, share = 0.27437854658424227, cold.sum(1) / cold.sum(1).mean()
    verdict("cold draws", {"right": _z(each - right * share, 0.0)})


def test_a_nan_is_flagged_and_the_level_stays():
    energy = FunctionEnergy(lambda x: jnp.where(x[0] > 0.5, jnp.nan, 0.5 * jnp.sum(x**2)))
    sampler = SimulatedTempering(Still(), jnp.array([1.0, 0.5]))
    state = sampler.init(energy, jnp.zeros(1))._replace(inner=Place(jnp.ones(1)))
    state, info = sampler.step(jax.random.key(0), energy, state)
    assert bool(info.divergent)
    assert int(state.level) == 0


def test_refusals():
    mala, energy, key = MALA(0.1), FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2)), jax.random.key(0)
    sampler = SimulatedTempering(mala, LADDER)
    chains = init_chains(sampler, energy, jnp.zeros((4, 2)))
    refused = {
        "SimulatedTempering.betas must decrease strictly": lambda: SimulatedTempering(mala, jnp.ones(2)),
        "SimulatedTempering.betas must be numbers": lambda: SimulatedTempering(mala, [1.0, None]),
        "weights must hold one number a level": lambda: SimulatedTempering(mala, LADDER, jnp.ones(2)),
        "weights must be finite": lambda: SimulatedTempering(mala, LADDER, jnp.full(3, jnp.nan)),
        "step_sizes must be > 0": lambda: SimulatedTempering(mala, LADDER, step_sizes=jnp.zeros(3)),
        "inner must be a sampler": lambda: SimulatedTempering(3, LADDER),
        "must be SimulatedTempering; got MALA": lambda: learn_weights(key, mala, energy, chains, 10),
        "num_steps must be an integer >= 2": lambda: learn_weights(key, sampler, energy, chains, 1),
        "num_samples must be an integer >= 1": lambda: sample_levels(key, sampler, energy, chains, 0),
        "every level must have been visited": lambda: level_log_z(sampler, chains),
    }
    for message, call in refused.items():
        with refuses(message):
            call()
