"""Independence Metropolis and cycles: closed-form acceptance, invariance, mode masses, and planted bugs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import AbstractDensity, AbstractSampler, FunctionEnergy
from energax.energies import Gaussian, GaussianMixture
from energax.numerics.random import standard_normal
from energax.samplers import (
    MALA,
    ULA,
    Cycle,
    Independence,
    IndependenceState,
    Underdamped,
    advance,
    init_chains,
    moments,
)
from judges import TARGETS, Parabola, judge_acceptance, judge_follows, judge_invariance, judge_movement, reach, refuses

WIDE = Gaussian(jnp.array([-0.3]), 1.5)
KERNELS = {
    "independence": lambda: Independence(WIDE),
    "cycle": lambda: Cycle((MALA(0.1), Independence(WIDE))),
}


@pytest.mark.parametrize(("scale", "exact"), [(2.0, 0.590334470601733), (3.0, 0.4096655293982669)])
def test_acceptance_is_the_closed_form(scale, exact):
    judge_acceptance(Independence(Gaussian(jnp.zeros(1), scale)), exact)


def test_the_target_as_its_own_proposal_is_always_accepted():
    target = GaussianMixture(jnp.log(jnp.array([0.3, 0.7])), jnp.array([[-2.0, 0.0], [1.0, 1.0]]), 0.5)
    kernel, start = Independence(target), jax.jit(jax.vmap(target.sample))(jax.random.split(jax.random.key(0), 500))
    _, info = advance(jax.random.key(1), kernel, target, init_chains(kernel, target, start), 3)
    assert float(info.acceptance.min()) > 1 - 1e-5


@pytest.mark.parametrize("truth", TARGETS)
@pytest.mark.parametrize("name", KERNELS)
def test_leaves_skewed_and_tempered_targets_invariant(name, truth):
    judge_invariance(KERNELS[name](), TARGETS[truth]())


@pytest.mark.parametrize("name", KERNELS)
def test_moves_and_follows_a_changed_energy(name):
    judge_movement(KERNELS[name](), TARGETS["tilted well, beta 2"]())
    kernel = {"independence": Independence(Gaussian(jnp.full(1, 4.0), 3.0)), "cycle": Cycle((MALA(0.5), MALA(0.2)))}
    judge_follows(kernel[name], num_steps=200)


class Forgetful(AbstractSampler):
    """Planted: the proposal's density is left out of the ratio."""

    proposal: AbstractDensity

    def init(self, energy, x):
        return IndependenceState(x, energy(x), jnp.zeros(()))

    def refresh(self, energy, state):
        return self.init(energy, state.x)

    def step(self, key, energy, state):
        flat = FunctionEnergy(lambda x: energy(x) + self.proposal.log_prob(x))
        state, info = Independence(self.proposal).step(key, flat, Independence(self.proposal).init(flat, state.x))
        return IndependenceState(state.x, energy(state.x), jnp.zeros(())), info


class Stale(AbstractSampler):
    """Planted: the second kernel starts from what it cached, not from where the first one is."""

    cycle: Cycle

    def init(self, energy, x):
        return self.cycle.init(energy, x)

    def refresh(self, energy, state):
        return self.cycle.refresh(energy, state)

    def step(self, key, energy, state):
        first, second = self.cycle.kernels
        one, _ = first.step(jax.random.fold_in(key, 0), energy, state.parts[0]._replace(x=state.x))
        two, info = second.step(jax.random.fold_in(key, 1), energy, state.parts[1]._replace(x=one.x))
        return type(state)(two.x, (one, two)), info


@pytest.mark.parametrize("wrong", [Forgetful(WIDE), Stale(Cycle((MALA(0.1), Independence(WIDE))))], ids=["q", "stale"])
def test_planted_bugs_are_caught(wrong):
    with pytest.raises(AssertionError, match="standard errors off"):
        judge_invariance(wrong, TARGETS["tilted well, beta 2"]())


def test_flow_assisted_chains_have_the_right_mode_masses():
    """All walkers begin in the light mode; the proposal covers both, with wrong weights and widths."""
    target = GaussianMixture(jnp.log(jnp.array([0.3, 0.7])), jnp.array([[-5.0, 0.0], [5.0, 0.0]]), 0.6)
    proposal = GaussianMixture(jnp.log(jnp.array([0.6, 0.4])), jnp.array([[-4.5, 0.0], [4.5, 0.5]]), 1.0)
    start = jnp.tile(jnp.array([-5.0, 0.0]), (400, 1))

    def mass(kernel):
        chains = init_chains(kernel, target, start)
        right = lambda x: (x[0] > 0.0).astype(x.dtype)  # noqa: E731
        _, found = moments(jax.random.key(0), kernel, target, chains, 60, burn_in=60, statistics=right)
        return float(found.mean), float(found.std_error)

    found, error = mass(Cycle((MALA(0.2), MALA(0.2), Independence(proposal))))
    assert abs(found - 0.7) < reach() * error
    assert error < 0.01
    assert mass(MALA(0.2))[0] == 0.0


def test_a_proposal_is_refitted_to_the_walkers_between_calls():
    """Maximum likelihood for a Gaussian is its walkers' mean and covariance: acceptance rises from bad to good."""
    target = Gaussian(jnp.array([3.0, -1.0]), jnp.linalg.cholesky(jnp.array([[1.0, 0.8], [0.8, 1.0]])))
    kernel = Cycle((MALA(0.2), Independence(Gaussian(jnp.zeros(2), 4.0 * jnp.eye(2)))))
    chains = init_chains(kernel, target, jnp.zeros((1000, 2)))
    rates = []
    for turn in range(3):
        chains, info = advance(jax.random.key(turn), kernel, target, chains, 30)
        rates.append(float(info.parts[1].acceptance.mean()))
        x = chains.states.x
        proposal = Gaussian(x.mean(0), jnp.linalg.cholesky(jnp.cov(x.T)))
        kernel = Cycle((MALA(0.2), Independence(proposal)))
    assert rates[0] < 0.2
    assert rates[2] > 0.85


class Pair(AbstractDensity):
    """N(0, 1) over a tree."""

    def sample(self, key):
        return {"a": standard_normal(key, (2,)), "b": jnp.zeros(1)}

    def log_prob(self, x):
        return -0.5 * jnp.sum(x["a"] ** 2)


def test_trees_and_momenta():
    energy, tree = Parabola(jnp.zeros(())), FunctionEnergy(lambda x: jnp.sum(x["a"] ** 2))
    chains = init_chains(Independence(Pair()), tree, {"a": jnp.ones((3, 2)), "b": jnp.ones((3, 1))})
    chains, info = advance(jax.random.key(0), Independence(Pair()), tree, chains, 9)
    assert not bool(info.divergent.any())
    assert np.all(np.asarray(chains.states.x["a"]) != 1.0)
    kernel = Cycle((Underdamped(0.3), ULA(0.1)))
    assert not kernel.exact
    assert Cycle((MALA(0.1), MALA(0.2))).exact
    moved, info = advance(jax.random.key(0), kernel, energy, init_chains(kernel, energy, jnp.ones((3, 1))), 1)
    again = kernel.refresh(energy, jax.tree.map(lambda leaf: leaf[0], moved.states))
    np.testing.assert_array_equal(again.parts[0].momentum, moved.states.parts[0].momentum[0])  # not lost
    np.testing.assert_allclose(again.parts[0].gradient, moved.states.x[0], rtol=1e-6)  # taken where the chain is now


def test_what_is_not_finite_is_rejected_and_flagged():
    wall = FunctionEnergy(lambda x: jnp.sum(jnp.log(x)))
    kernel = Independence(Gaussian(jnp.full(1, -100.0), 1.0))
    state, info = kernel.step(jax.random.key(0), wall, kernel.init(wall, jnp.ones(1)))
    assert bool(info.divergent)
    assert float(info.acceptance) == 0.0
    assert float(state.x[0]) == 1.0


def test_refusals():
    flat = FunctionEnergy(lambda x: jnp.sum(x**2))
    for call, message in (
        (lambda: Independence(3.0), "Independence.proposal must be an AbstractDensity; got float"),
        (lambda: Cycle((MALA(0.1),)), "Cycle.kernels must be two samplers or more"),
        (lambda: Cycle(3.0), "Cycle.kernels must be two samplers or more; got 3.0"),
        (
            lambda: Independence(WIDE).step(
                jax.random.key(0), flat, IndependenceState(jnp.zeros(2), jnp.zeros(()), jnp.zeros(()))
            ),
            "Independence.proposal must draw samples of the structure of x",
        ),
    ):
        with refuses(message):
            call()
