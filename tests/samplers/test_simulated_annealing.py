"""Simulated annealing finds what enumeration and a closed form say is lowest, and quenching does not."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import AbstractEnergy, FunctionEnergy
from energax.numerics import geometric, uniforms
from energax.samplers import MALA, simulated_annealing
from judges import Parabola
from samplers.kernels import Flip

COUPLINGS = np.triu(np.random.default_rng(3).choice([-1.0, 1.0], (12, 12)), 1)


def glass(x):
    """Twelve spins, all pairs joined by +1 or -1."""
    return -x @ jnp.asarray(COUPLINGS, x.dtype) @ x


def lowest():
    states = np.array(list(itertools.product([-1.0, 1.0], repeat=12)))
    return np.min(-np.einsum("si,ij,sj->s", states, COUPLINGS, states))


def starts(num=64):
    return jnp.where(uniforms(jax.random.key(9), (num, 12)) < 0.5, -1.0, 1.0)


def test_finds_the_ground_state_of_a_spin_glass():
    found = simulated_annealing(
        jax.random.key(0), Flip(), glass, starts(), geometric(0.05, 3.0, 40), steps_per_temperature=24
    )
    assert float(found.energy.min()) == lowest()
    np.testing.assert_allclose(jax.vmap(glass)(found.x), found.energy)
    assert np.mean(np.asarray(found.energy) == lowest()) > 0.6
    quenched = simulated_annealing(
        jax.random.key(0), Flip(), glass, starts(), np.full(40, 50.0), steps_per_temperature=24
    )
    assert np.mean(np.asarray(quenched.energy) == lowest()) < np.mean(np.asarray(found.energy) == lowest())


def test_finds_the_lowest_of_two_to_the_five_wells():
    """Every coordinate has a well at +1.7525 of energy -9.8712 and one at -1.7108 of -8.1392."""
    betas = geometric(0.1, 20.0, 300)
    found = simulated_annealing(
        jax.random.key(1),
        MALA(0.1),
        lambda x: jnp.sum(x**4 - 6.0 * x**2 - 0.5 * x),
        jnp.full((64, 5), -1.7),
        betas,
        steps_per_temperature=5,
        step_sizes=0.02 / betas,
    )
    assert float(found.energy.min()) == pytest.approx(5 * -9.871172551738853, abs=0.02)
    np.testing.assert_allclose(found.x[jnp.argmin(found.energy)], 1.7525198623, atol=0.05)
    assert float(found.energy.mean()) < -45.5  # -40.7 at the start, and -45.0 by the toss of a coin a well
    assert 0.3 < float(found.acceptance.min())


def test_the_best_is_kept_though_the_chain_leaves_it():
    found = simulated_annealing(jax.random.key(0), MALA(0.5), Parabola(jnp.zeros(())), jnp.zeros((4, 3)), np.ones(20))
    np.testing.assert_array_equal(found.energy, jnp.zeros(4))
    assert np.all(np.asarray(found.chains.states.energy) > 0.0)


class Pulled(AbstractEnergy):
    """A parabola around the condition."""

    def __call__(self, x, cond=None):
        return 0.5 * jnp.sum((x - cond) ** 2)


def test_conditions_go_with_their_chains():
    cond = jnp.arange(3.0)[:, None]
    betas = geometric(1.0, 1000.0, 60)
    found = simulated_annealing(
        jax.random.key(0), MALA(0.1), Pulled(), jnp.zeros((3, 1)), betas, step_sizes=0.5 / betas, cond=cond
    )
    np.testing.assert_allclose(found.x, cond, atol=0.02)


def test_a_number_that_is_not_finite_is_flagged_and_never_best():
    energy = FunctionEnergy(lambda x: jnp.where(x[0] < -0.3, jnp.nan, jnp.sum(x)))
    found = simulated_annealing(jax.random.key(0), MALA(0.1), energy, jnp.zeros((32, 1)), np.linspace(0.0, 5.0, 20))
    assert bool(found.divergent.all())
    assert np.all(np.isfinite(np.asarray(found.energy)))


def test_refusals():
    key, xs, energy = jax.random.key(0), jnp.zeros((2, 3)), Parabola(jnp.zeros(()))

    def run(betas, sampler=None, **options):
        return lambda: simulated_annealing(key, sampler or MALA(0.1), energy, xs, betas, **options)

    refused = {
        "never falls; got a schedule that falls": run(np.array([1.0, 2.0, 1.5])),
        "never falls; got shape": run(np.ones((2, 2))),
        "betas must be >= 0": run(np.array([-1.0, 2.0])),
        "steps_per_temperature must be an integer >= 1; got 0": run(np.ones(2), steps_per_temperature=0),
        "step_sizes must hold one step size": run(np.ones(2), step_sizes=np.ones(3)),
        "for Flip": run(np.ones(2), sampler=Flip(), step_sizes=np.ones(2)),
        "step_sizes must be > 0": run(np.ones(2), step_sizes=np.zeros(2)),
    }
    for message, call in refused.items():
        with pytest.raises(ValueError, match=message):
            call()
