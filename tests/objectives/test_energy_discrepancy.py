"""Energy discrepancy against the fall of KL under noise: by quadrature on the line, by enumeration on spins."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.objectives import DiscreteEnergyDiscrepancy, EnergyDiscrepancy
from energax.samplers import BITS, CATEGORIES, SPINS
from objectives.machine import LAW, STATES, machine
from objectives.population import MODEL, TRUTH, judge_gradient, quartic, rows, slope

pytestmark = pytest.mark.optimised


def test_gradient_is_that_of_the_fall_of_kl():
    """The population loss is E_data [E + log int N(y - .) exp(-E)]; 1,000 copies leave a bias of 1 / 1,000."""
    with jax.enable_x64(True):
        sigma = 0.5
        nodes, weights = np.polynomial.hermite_e.hermegauss(50)
        law = jnp.asarray(weights / weights.sum())

        def loss(model):
            def smoothed(y):
                around = jax.vmap(lambda e: -model(y + sigma * e[None]))(jnp.asarray(nodes))
                return jax.nn.logsumexp(around, b=law)

            def at(x):
                return model(x) + jnp.sum(law * jax.vmap(lambda e: smoothed(x + sigma * e[None]))(jnp.asarray(nodes)))

            coarse = jnp.asarray(rows(400))
            return jnp.mean(jax.vmap(at)(coarse))

        rule = EnergyDiscrepancy(sigma, 1000, stabilisation=0.0)
        wanted = slope(loss, quartic(MODEL))
        judge_gradient(rule, quartic(MODEL), wanted, rows(400), keys=30, slack=0.005 * float(np.abs(wanted).max()))
        judge_gradient(rule, quartic(TRUTH), np.zeros(3), rows(400), keys=30, slack=0.01)
        wrong = EnergyDiscrepancy(sigma / np.sqrt(2.0), 1000, stabilisation=0.0)
        with pytest.raises(AssertionError):  # planted: one round of noise instead of two
            judge_gradient(wrong, quartic(MODEL), wanted, rows(400), keys=30, slack=0.005 * float(np.abs(wanted).max()))


def kernel(states, change, num_states):
    """The chance of one round from every state to every other."""
    differ = np.array([[np.sum(a != b) for b in states] for a in states])
    sites = states.shape[1]
    return (change / (num_states - 1)) ** differ * (1 - change) ** (sites - differ)


def test_on_spins_the_gradient_is_that_of_the_fall_of_kl():
    with jax.enable_x64(True):
        change = 0.15
        round_ = jnp.asarray(kernel(STATES, change, 2))

        draws = np.random.default_rng(0).choice(len(STATES), size=500, p=LAW)
        shares = jnp.asarray(np.bincount(draws, minlength=len(STATES)) / len(draws))

        def loss(model):
            energy = jax.vmap(model)(jnp.asarray(STATES))
            smoothed = jnp.log(round_ @ jnp.exp(-energy))
            return jnp.sum(shares * (energy + round_ @ smoothed))

        rule = DiscreteEnergyDiscrepancy(SPINS, change, 400, stabilisation=0.0)
        model = machine(0.6)
        wanted = slope(loss, model)
        judge_gradient(rule, model, wanted, STATES[draws], keys=30, slack=0.01 * float(np.abs(wanted).max()))
        wrong = DiscreteEnergyDiscrepancy(SPINS, 0.6 * change, 400, stabilisation=0.0)
        with pytest.raises(AssertionError):  # planted: fewer changes
            judge_gradient(wrong, model, wanted, STATES[draws], keys=30, slack=0.01 * float(np.abs(wanted).max()))


@pytest.mark.parametrize(("sites", "low"), [(BITS, 0.0), (CATEGORIES, None)])
def test_changes_have_the_chances_that_are_asked_for(sites, low):
    """Every state of 2 sites within 4 standard errors of 20,000 rounds (false-fail 6e-5 each)."""
    num_states = 2 if low is not None else 3
    like = jnp.zeros(2) if low is not None else jax.nn.one_hot(jnp.zeros(2, int), 3)
    rule = DiscreteEnergyDiscrepancy(sites, 0.3)
    start = jnp.array([1, 0])
    ends = jax.vmap(lambda key: rule._changed(key, start, like))(jax.random.split(jax.random.key(0), 20_000))
    states = np.array(list(itertools.product(range(num_states), repeat=2)))
    law = kernel(states, 0.3, num_states)[np.flatnonzero((states == np.array([1, 0])).all(1))[0]]
    found = np.array([np.mean((np.asarray(ends) == state).all(1)) for state in states])
    assert np.all(np.abs(found - law) < 4.0 * np.sqrt(law * (1 - law) / 20_000)), (found, law)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EnergyDiscrepancy(0.0), "sigma must be"),
        (lambda: EnergyDiscrepancy(1.0, 0), "ratio must be"),
        (lambda: EnergyDiscrepancy(1.0, 2, -1.0), "stabilisation must be"),
        (lambda: DiscreteEnergyDiscrepancy(SPINS, 1.0), r"change must lie in \(0, 1\)"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
