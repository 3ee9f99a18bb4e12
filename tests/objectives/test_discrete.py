"""Pseudolikelihood, ratio matching, probability flow and concrete scores: exact on all states of a small machine."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import FunctionEnergy
from energax.objectives import (
    ConcreteScoreMatching,
    DiscreteEnergyDiscrepancy,
    ExactLikelihood,
    MinimumProbabilityFlow,
    Pseudolikelihood,
    RatioMatching,
    box_nodes,
)
from energax.samplers import BITS, CATEGORIES, SPINS
from objectives.machine import LAW, SITES, STATES, Couplings, law, machine, population
from objectives.population import MODEL, exact_likelihood, of, quartic, rows, slope

KEY = jax.random.key(0)
RULES = (Pseudolikelihood, RatioMatching, MinimumProbabilityFlow, ConcreteScoreMatching)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("bend", [0.0, 0.7])
def test_truth_is_the_optimum_of_the_population(rule, bend):
    with jax.enable_x64(True):
        here = population(rule(SPINS), law(bend))
        at_truth = slope(here, machine(1.0, bend))
        assert np.abs(at_truth).max() < 1e-12
        assert np.abs(slope(here, machine(0.8, bend))).max() > 1e-3
        for step in np.eye(len(at_truth))[::3]:
            other = Couplings(machine(1.0, bend).theta + 0.05 * jnp.asarray(step), bend)
            assert float(here(other)) > float(here(machine(1.0, bend)))
        if bend:  # planted: the gradient's differences taken for the energy's
            with pytest.raises(AssertionError):
                assert np.abs(slope(population(rule(SPINS, linear=True), law(bend)), machine(1.0, bend))).max() < 1e-12


@pytest.mark.parametrize("rule", RULES)
def test_one_gradient_does_for_all_sites_where_the_energy_is_linear(rule):
    with jax.enable_x64(True):
        found, wanted = (slope(population(rule(SPINS, linear), LAW), machine(0.6)) for linear in (True, False))
        np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_pseudolikelihood_is_the_sum_of_exact_conditionals():
    with jax.enable_x64(True):
        energy = np.asarray(jax.vmap(machine(0.6))(jnp.asarray(STATES)))
        cube = np.exp(-energy).reshape((2,) * SITES)
        logs = sum(np.log(cube / cube.sum(axis=site, keepdims=True)) for site in range(SITES)).ravel()
        found = population(Pseudolikelihood(SPINS), LAW)(machine(0.6))
        np.testing.assert_allclose(float(found), -np.sum(LAW * logs), rtol=1e-12)


def test_concrete_scores_are_the_distance_of_ratios():
    with jax.enable_x64(True):
        neighbours = np.abs(STATES[:, None] - STATES[None]).sum(-1) == 2.0

        def distance(model):
            energy = jax.vmap(model)(jnp.asarray(STATES))
            ratio = jnp.exp(energy[:, None] - energy[None, :])
            miss = (ratio - jnp.asarray(LAW[None, :] / LAW[:, None])) ** 2
            return jnp.sum(jnp.where(jnp.asarray(neighbours), jnp.asarray(LAW)[:, None] * miss, 0.0))

        found = slope(population(ConcreteScoreMatching(SPINS), LAW), machine(0.6))
        np.testing.assert_allclose(found, slope(distance, machine(0.6)), rtol=1e-9)


@pytest.mark.parametrize("rule", RULES)
def test_bits_and_categories_say_the_same_as_spins(rule):
    with jax.enable_x64(True):
        batch = jnp.asarray(STATES[[3, 9, 14]])
        model = machine(0.6, 0.3)
        wanted = float(of(rule(SPINS), batch)(model))

        class AsBits(Couplings):
            def __call__(self, x, cond=None):
                return super().__call__(2.0 * x - 1.0)

        class AsCategories(Couplings):
            def __call__(self, x, cond=None):
                return super().__call__(x[:, 1] - x[:, 0])

        bits = float(of(rule(BITS), (batch + 1.0) / 2.0)(AsBits(model.theta, 0.3)))
        hot = jax.nn.one_hot(((batch + 1.0) / 2.0).astype(int), 2, dtype=jnp.float64)
        categories = float(of(rule(CATEGORIES), hot)(AsCategories(model.theta, 0.3)))
        np.testing.assert_allclose([bits, categories], wanted, rtol=1e-12)


@pytest.mark.parametrize("rule", RULES)
def test_three_states_have_the_truth_as_optimum(rule):
    with jax.enable_x64(True):
        states = np.array([np.eye(3)[[a, b]] for a in range(3) for b in range(3)])
        fields = jnp.asarray(np.random.default_rng(1).normal(size=(2, 3)))

        def energy_of(theta):
            return FunctionEnergy(lambda x: -jnp.sum(theta * x) - 0.8 * jnp.sum(theta) * jnp.sum(x[0] * x[1]))

        def loss(theta):
            one = lambda x: rule(CATEGORIES)(jax.random.key(0), energy_of(theta), None, {"x": x[None]})[0]  # noqa: E731
            return jnp.sum(probabilities * jax.vmap(one)(jnp.asarray(states)))

        probabilities = jax.nn.softmax(-jax.vmap(energy_of(fields))(jnp.asarray(states)))
        assert float(jnp.abs(jax.grad(loss)(fields)).max()) < 1e-12
        assert float(jnp.abs(jax.grad(loss)(fields + 0.1 * jnp.eye(3)[:2])).max()) > 1e-3


def test_exact_likelihood_on_states_and_on_a_grid():
    with jax.enable_x64(True):
        model = machine(0.6)
        rule = ExactLikelihood(jnp.asarray(STATES))
        energy = np.asarray(jax.vmap(model)(jnp.asarray(STATES)))
        probabilities = np.exp(-energy) / np.exp(-energy).sum()
        found = slope(population(rule, LAW), model)
        gradients = np.asarray(jax.vmap(lambda x: jax.grad(lambda m: m(x))(model).theta)(jnp.asarray(STATES)))
        np.testing.assert_allclose(found, (LAW - probabilities) @ gradients, atol=1e-12)
        nodes, logs = box_nodes(((-4.5, 4.5),), 2000)
        line = ExactLikelihood(nodes.astype(jnp.float64), logs.astype(jnp.float64))
        wanted = slope(exact_likelihood, quartic(MODEL))
        np.testing.assert_allclose(slope(of(line, rows(5000)), quartic(MODEL)), wanted, rtol=2e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ExactLikelihood(jnp.zeros((0, 2))), "at least one"),
        (lambda: ExactLikelihood(jnp.zeros((3, 2)), jnp.zeros(2)), "must be one a node"),
        (lambda: box_nodes(((1.0, -1.0),), 3), "low < high"),
        (lambda: box_nodes(((-1.0, 1.0),), 0), "box_nodes.points must be an integer >= 1; got 0"),
        *(
            (
                lambda rule=r: rule(SPINS).init(KEY, FunctionEnergy(jnp.sum), {"x": jnp.zeros((4, SITES))}),
                "Binary sites, -1 or 1; got 0",
            )
            for r in (*RULES, lambda sites: DiscreteEnergyDiscrepancy(sites, 0.1))
        ),
        (
            lambda: Pseudolikelihood(CATEGORIES).init(KEY, FunctionEnergy(jnp.sum), {"x": jnp.full((4, 2, 3), 0.5)}),
            "OneHot sites; got 0.5",
        ),
        *(
            (lambda rule=r: rule(SPINS, chunk_size=0), f"{r.__name__}.chunk_size must be an integer >= 1")
            for r in RULES
        ),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
