"""What every kernel promises: thousands of chains, samples that are trees, `beta * energy`, and conditions.

One law, over every sampler that `energax.samplers` exports: 2,000 chains of a tree under `beta * energy`, a condition
of its own for each, go step by step where single chains of one flat array go under an energy in which beta and the
condition have been worked in by hand. A kernel without a line here fails the first test.
One of each family is run always, the others with the slow tests.
"""

import inspect
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from contracts.discrete import MEMBERS as DISCRETE, TARGETS, Pairwise
from contracts.samplers import MEMBERS as CONTINUOUS
from energax import samplers
from energax.core import AbstractBipartiteEnergy, AbstractDensity, AbstractEnergy, AbstractSampler
from energax.energies import BernoulliRBM
from energax.samplers import (
    MALA,
    SPINS,
    Blackjax,
    BlockGibbs,
    Cycle,
    Gibbs,
    Independence,
    ParallelTempering,
    SimulatedTempering,
    adjusted_mclmc,
    advance,
    annealed_langevin,
    elliptical_slice,
    init_chains,
    multinomial_hmc,
    nuts,
    simulated_annealing,
    slice_sampling,
    svgd,
    tempered_joint,
)

BETA, CHAINS, STEPS, ROWS = 0.7, 2000, 5, 200
SCALE = jnp.array([1.0, 0.5, 2.0])


class Smooth(AbstractEnergy):
    """A rippled Gaussian around `cond`, of one array or of a tree of two: times `beta`, around `centre`."""

    beta: float | jax.Array = 1.0
    centre: float | jax.Array = 0.0

    def __call__(self, x, cond=None):
        flat = ravel_pytree(x)[0] - (self.centre if cond is None else cond)
        return self.beta * (0.5 * jnp.sum((SCALE * flat) ** 2) + 0.3 * jnp.sum(jnp.cos(3.0 * flat)))


class Pairs(Pairwise):
    """The pair energy with `beta` and `cond` worked in."""

    def __init__(self, beta: float | jax.Array = 1.0, centre: float | jax.Array = 0.0):
        glass = TARGETS["glass"].energy.base
        self.strengths, self.fields = beta * glass.strengths, beta * (glass.fields + centre)


class Machine(AbstractBipartiteEnergy):
    """An RBM of one array or of a tree of two, whose condition is added to its hidden biases."""

    beta: float | jax.Array = 1.0
    centre: float | jax.Array = 0.0
    tree: bool = eqx.field(static=True, default=False)

    def given(self, cond):
        return Machine(self.beta, self.centre + cond, self.tree)

    def at_beta(self, beta):
        return Machine(beta * self.beta, self.centre, self.tree)

    def shifted(self) -> BernoulliRBM:
        weights = jnp.linspace(-1.0, 1.5, 20).reshape(5, 4)
        return BernoulliRBM(weights, jnp.linspace(-0.5, 0.5, 5), self.centre + jnp.ones(4)).at_beta(self.beta)

    def joint(self, v, h):
        return self.shifted().joint(ravel_pytree(v)[0], h)

    def hidden_given(self, v):
        return self.shifted().hidden_given(ravel_pytree(v)[0])

    def visible_given(self, h):
        return self.shifted().visible_given(h)

    def sample_hidden(self, key, v):
        return self.shifted().sample_hidden(key, ravel_pytree(v)[0])

    def sample_visible(self, key, h):
        v = self.shifted().sample_visible(key, h)
        return tree_of(v) if self.tree else v

    def free_energy(self, v):
        return self.shifted().free_energy(ravel_pytree(v)[0])

    def __call__(self, x, cond=None):
        return self.free_energy(x)


def tree_of(flat):
    """Chains of five or three numbers as a tree of two leaves."""
    return {"a": flat[..., :2], "b": flat[..., 2:]}


def flat_of(x) -> np.ndarray:
    return np.asarray(x) if hasattr(x, "shape") else np.concatenate([x["a"], x["b"]], axis=-1)


class Broad(AbstractDensity):
    """N(0, 2^2) in three dimensions, of one array or of a tree of two."""

    tree: bool = eqx.field(static=True)

    def sample(self, key):
        x = 2.0 * jax.random.normal(key, (3,))
        return tree_of(x) if self.tree else x

    def log_prob(self, x):
        return -0.125 * jnp.sum(ravel_pytree(x)[0] ** 2)


class Case(NamedTuple):
    """A kernel (of trees, of flat arrays) and the family of energies (beta, centre) that it walks under."""

    make: Callable[[bool], AbstractSampler]
    family: Callable[..., AbstractEnergy]


def same(make: Callable[[], AbstractSampler]) -> Callable[[bool], AbstractSampler]:
    return lambda tree: make()


LADDER = jnp.array([1.0, 0.5])
CASES: dict[str, Case] = {
    **{name: Case(same(m.make), Smooth) for name, m in CONTINUOUS.items()},
    "adjusted mclmc": Case(same(lambda: adjusted_mclmc(0.5, 3)), Smooth),
    "slice": Case(same(lambda: slice_sampling(1.0)), Smooth),
    "elliptical slice": Case(same(lambda: elliptical_slice(jnp.zeros(3), jnp.ones(3))), Smooth),
    "independence": Case(lambda tree: Independence(Broad(tree)), Smooth),
    "cycle": Case(lambda tree: Cycle((MALA(0.1), Independence(Broad(tree)))), Smooth),
    **{name: Case(same(lambda m=m: m.make(TARGETS["glass"])), Pairs) for name, m in DISCRETE.items()},
    "parallel tempering of spins": Case(same(lambda: ParallelTempering(Gibbs(SPINS), LADDER)), Pairs),
    "simulated tempering of spins": Case(same(lambda: SimulatedTempering(Gibbs(SPINS), LADDER)), Pairs),
    "block gibbs": Case(same(BlockGibbs), Machine),
    "parallel tempering of block gibbs": Case(
        same(lambda: ParallelTempering(BlockGibbs(), LADDER, family=tempered_joint)), Machine
    ),
}
ALIKE = {"tamed ula", "leimkuhler-matthews", "preconditioned ula", "jittered hmc", "generalised hmc", "barker"}
ALIKE |= {"random walk", "simulated_tempering", "whitened hmc", "nuts", "adjusted mclmc", "slice", "cycle"}
ALIKE |= {"random scan gibbs", "site metropolis", "checkerboard", "dula", "wolff", "simulated tempering of spins"}
ALIKE |= {"parallel tempering of spins"}
NAMES = [pytest.param(name, marks=[pytest.mark.slow] * (name in ALIKE)) for name in CASES]
FACTORIES = {nuts, multinomial_hmc, adjusted_mclmc, slice_sampling, elliptical_slice}
COND = jax.random.normal(jax.random.key(8), (CHAINS,))


def starts(family) -> jax.Array:
    noise = jax.random.normal(jax.random.key(7), (CHAINS, 3 if family is Smooth else 5))
    return {Smooth: noise, Pairs: jnp.sign(noise), Machine: (noise > 0).astype(noise.dtype)}[family]


def tempered(energy: AbstractEnergy) -> AbstractEnergy:
    """`beta * energy`; of a bipartite model `at_beta`, since its layers are independent in the joint energy only."""
    return energy.at_beta(BETA) if isinstance(energy, AbstractBipartiteEnergy) else BETA * energy


def test_every_sampler_is_here():
    kernels = {k for k in vars(samplers).values() if inspect.isclass(k) and issubclass(k, AbstractSampler)}
    made = {type(case.make(True)) for case in CASES.values()}
    assert kernels == made, f"without a line: {kernels - made}"
    offered = [f for f in vars(samplers).values() if inspect.isfunction(f)]
    assert {f for f in offered if inspect.signature(f).return_annotation in (Blackjax, "Blackjax")} == FACTORIES


def judge(name: str, wrong: Callable[[AbstractEnergy], AbstractEnergy] = tempered) -> None:
    make, family = CASES[name]
    xs, key = starts(family), jax.random.key(3)
    energy = wrong(family(tree=True) if family is Machine else family())

    @jax.jit
    def many(xs, cond):
        chains = init_chains(make(True), energy, xs, cond)
        return advance(key, make(True), energy, chains, STEPS, cond)[0].states.x

    @jax.jit
    def alone(rows, conds):
        def one(each):  # a loop and no vmap: there XLA errs on a CPU, see test_peers.py
            row, cond = each
            by_hand = family(BETA, cond)
            chains = init_chains(make(False), by_hand, xs[:ROWS])
            return advance(key, make(False), by_hand, chains, STEPS)[0].states.x[row]

        return jax.lax.map(one, (rows, conds))

    ends = flat_of(many(tree_of(xs), COND))
    assert ends.shape == xs.shape
    assert np.mean(np.any(ends != xs, axis=1)) > 0.1
    np.testing.assert_allclose(ends[:ROWS], alone(jnp.arange(ROWS), COND[:ROWS]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_thousands_of_chains_of_trees_with_beta_and_conditions(name):
    judge(name)


@pytest.mark.parametrize("name", ["mala", "gibbs", "swendsen-wang", "block gibbs"])
def test_a_forgotten_beta_is_caught(name):
    with pytest.raises(AssertionError):
        judge(name, wrong=lambda energy: energy)


def test_runners_of_their_own_take_the_same():
    xs, key = starts(Smooth), jax.random.key(3)
    ours, by_hand = BETA * Smooth(), Smooth(jnp.asarray(BETA), COND[0])
    closed = ours.given(COND[0])

    def agree(tree, flat):
        np.testing.assert_allclose(flat_of(tree), flat, rtol=1e-4, atol=1e-4)

    agree(svgd(closed, tree_of(xs[:200]), 5).x, svgd(by_hand, xs[:200], 5).x)
    betas = jnp.array([0.2, 1.0, 3.0])
    cond = jnp.full(CHAINS, COND[0])
    tree = simulated_annealing(key, MALA(0.1), ours, tree_of(xs), betas, cond=cond)
    flat = simulated_annealing(key, MALA(0.1), by_hand, xs, betas)
    agree(tree.x, flat.x)
    sigmas, args = jnp.array([1.0, 0.5]), {"step_size": 0.01, "steps_per_level": 2}
    tree, _ = annealed_langevin(key, lambda sigma: (1.0 / sigma) * closed, tree_of(xs), sigmas, **args)
    flat, _ = annealed_langevin(key, lambda sigma: (1.0 / sigma) * by_hand, xs, sigmas, **args)
    agree(tree.states.x, flat.states.x)
