"""The transition matrix that is read off a kernel's program: hand-made kernels, right and wrong, and shipped ones."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import AbstractSampler
from energax.energies import Ising
from energax.evaluation import ContinuousNoise, every_sample, exactness, probabilities, transition_matrix
from energax.numerics.random import categorical, uniform, uniforms
from energax.samplers import CATEGORIES, SPINS, Gibbs, ParallelTempering, SimulatedTempering, SiteMetropolis
from judges import refuses

ENERGY = 0.8 * Ising(np.array([[0, 1], [1, 2], [0, 2]]), np.array([0.4, -0.7, 0.9]), jnp.array([0.3, -0.5, 0.1]))
XS = every_sample(SPINS, jnp.zeros(3))
LAW = probabilities(ENERGY, XS)
LIMIT = 1e-12


class State(NamedTuple):
    x: Any


class Kernel(AbstractSampler):
    """A function (key, energy, x) -> x as a kernel."""

    move: Any

    def init(self, energy, x):
        return State(x)

    def refresh(self, energy, state):
        return state

    def step(self, key, energy, state):
        return State(self.move(key, energy, state.x)), None


def flipped(x, site):
    return x.at[site].multiply(-1.0)


def heat(energy, x, site):
    """The probability of +1 at a site given the rest."""
    return jax.nn.sigmoid(energy(x.at[site].set(-1.0)) - energy(x.at[site].set(1.0)))


def sweep(key, energy, x):
    def update(x, now):
        site, level = now
        return x.at[site].set(jnp.where(level < heat(energy, x, site), 1.0, -1.0)), None

    return jax.lax.scan(update, x, (jnp.arange(3), uniforms(key, (3,))))[0]


def metropolis_log(key, energy, x):
    where, decide = jax.random.split(key)
    y = flipped(x, jax.random.randint(where, (), 0, 3))
    return jnp.where(jnp.log(jax.random.uniform(decide)) < energy(x) - energy(y), y, x)


def metropolis_exp(key, energy, x):
    which = uniforms(key, (2,))[1]
    y = flipped(x, (which * 3).astype(jnp.int32))
    return jnp.where(uniform(key) < jnp.exp(jnp.minimum(energy(x) - energy(y), 0.0)), y, x)


def by_gumbel(key, energy, x):
    where, decide = jax.random.split(key)
    pair = jnp.stack([x, flipped(x, jax.random.categorical(where, jnp.log(jnp.array([0.5, 0.2, 0.3]))))])
    return pair[jax.random.categorical(decide, -jax.vmap(energy)(pair))]


def by_inversion(key, energy, x):
    where, decide = jax.random.split(key)
    pair = jnp.stack([x, flipped(x, jax.random.choice(where, 3, p=jnp.array([0.5, 0.2, 0.3])))])
    return pair[categorical(decide, -jax.vmap(energy)(pair)[None])[0]]


def shuffled_sweep(key, energy, x):
    order, decide = jax.random.split(key)

    def update(x, now):
        site, key = now
        return x.at[site].set(jnp.where(jax.random.bernoulli(key, heat(energy, x, site)), 1.0, -1.0)), None

    return jax.lax.scan(update, x, (jax.random.permutation(order, 3), jax.random.split(decide, 3)))[0]


def loop(key, energy, x):
    """Heat baths until the sites are done, drawn inside a while loop."""

    def body(carry):
        site, x, key = carry
        key, decide = jax.random.split(key)
        return site + 1, x.at[site].set(jnp.where(jax.random.bernoulli(decide, heat(energy, x, site)), 1.0, -1.0)), key

    return jax.lax.while_loop(lambda carry: carry[0] < 3, body, (0, x, key))[1]


def switched(key, energy, x):
    """Site 1 picks which of its neighbours is drawn: a switch on the state, with a draw in each branch."""

    def draw(site, key):
        return x.at[site].set(jnp.where(jax.random.bernoulli(key, heat(energy, x, site)), 1.0, -1.0))

    return jax.lax.cond(x[1] > 0, lambda k: draw(0, k), lambda k: draw(2, k), key)


def rejection(key, energy, x):
    """Site 0 from its conditional by rejection: a loop of any length, which branches leave at different turns."""

    def body(carry):
        _, new, key = carry
        key, propose, decide = jax.random.split(key, 3)
        new = x.at[0].set(jnp.where(jax.random.bernoulli(propose), 1.0, -1.0))
        least = jnp.minimum(energy(x), energy(flipped(x, 0)))
        return jax.random.uniform(decide) < jnp.exp(least - energy(new)), new, key

    return jax.lax.while_loop(lambda carry: ~carry[0], body, (jnp.array(False), x, key))[1]


RIGHT = [sweep, metropolis_log, metropolis_exp, by_gumbel, by_inversion, shuffled_sweep, loop, switched, rejection]
REVERSIBLE = [metropolis_log, metropolis_exp, by_gumbel, by_inversion, shuffled_sweep, switched, rejection]


@pytest.mark.parametrize("move", RIGHT, ids=lambda move: move.__name__)
def test_a_right_kernel_is_invariant_to_rounding(move):
    found = transition_matrix(Kernel(move), ENERGY, XS)
    judged = exactness(found.matrix, LAW)
    assert judged.rows < LIMIT
    assert judged.invariance < LIMIT
    assert (judged.reversibility < LIMIT) == (move in REVERSIBLE)
    assert judged.connected == (move not in (switched, rejection))
    assert not found.reused
    assert found.stale == 0.0


def test_the_matrix_is_that_of_many_runs():
    xs, key = jnp.repeat(XS, 20_000, axis=0), jax.random.key(1)
    keys = jax.random.split(key, len(xs))
    for move in (shuffled_sweep, by_inversion):
        new = jax.jit(jax.vmap(lambda key, x, move=move: move(key, ENERGY, x)))(keys, xs)
        codes = ((np.asarray(new) > 0) * np.array([1, 2, 4])).sum(1).reshape(8, -1)
        counts = np.stack([np.bincount(row, minlength=8) for row in codes]) / 20_000
        matrix = transition_matrix(Kernel(move), ENERGY, XS).matrix
        error = np.sqrt(np.maximum(matrix * (1 - matrix), 1e-9) / 20_000)
        assert np.abs((counts - matrix) / error).max() < 5.0  # 128 entries: a false alarm in 1e4 runs


def forgotten_beta(key, energy, x):
    return sweep(key, energy.base, x)


def factor_two(key, energy, x):
    where, decide = jax.random.split(key)
    y = flipped(x, jax.random.randint(where, (), 0, 3))
    return jnp.where(jax.random.uniform(decide) < jnp.exp(2.0 * (energy(x) - energy(y))), y, x)


def no_proposal_ratio(key, energy, x):
    """A site is chosen by its slope, and the way back is not paid for."""
    where, decide = jax.random.split(key)
    y = flipped(x, jax.random.categorical(where, x * jax.grad(energy)(x)))
    return jnp.where(jax.random.uniform(decide) < jnp.exp(energy(x) - energy(y)), y, x)


def one_number_for_two(key, energy, x):
    u = jax.random.uniform(key)
    y = flipped(x, (u * 3).astype(jnp.int32))
    return jnp.where(u < jnp.exp(energy(x) - energy(y)), y, x)


def all_at_once(key, energy, x):
    chance = jax.vmap(lambda site: heat(energy, x, site))(jnp.arange(3))
    return jnp.where(uniforms(key, (3,)) < chance, 1.0, -1.0)


WRONG = [forgotten_beta, factor_two, no_proposal_ratio, one_number_for_two, all_at_once]


@pytest.mark.parametrize("move", WRONG, ids=lambda move: move.__name__)
def test_a_planted_bug_is_seen(move):
    judged = exactness(transition_matrix(Kernel(move), ENERGY, XS).matrix, LAW)
    assert judged.rows < LIMIT
    assert judged.invariance > 1e-3
    assert judged.total_variation > 1e-2


def test_a_key_that_is_used_twice_is_reported():
    def twice(key, energy, x):
        y = flipped(x, jax.random.randint(key, (), 0, 3))
        return jnp.where(jax.random.uniform(key) < jnp.exp(energy(x) - energy(y)), y, x)

    assert transition_matrix(Kernel(twice), ENERGY, XS).reused


def test_stale_caches_are_seen():
    class Cached(NamedTuple):
        x: Any
        energy: Any

    class Stale(Kernel):
        def init(self, energy, x):
            return Cached(x, energy(x))

        def refresh(self, energy, state):
            return self.init(energy, state.x)

        def step(self, key, energy, state):
            return Cached(self.move(key, energy, state.x), state.energy), None

    assert transition_matrix(Stale(sweep), ENERGY, XS).stale > 0.1


@pytest.mark.parametrize(
    "move",
    [
        lambda key, energy, x: x + jax.random.normal(key, x.shape),
        lambda key, energy, x: x * jax.random.uniform(key),
    ],
)
def test_continuous_noise_is_refused(move):
    with pytest.raises(ContinuousNoise, match="judged by its moments"):
        transition_matrix(Kernel(move), ENERGY, XS)


def test_what_cannot_be_followed_is_refused():
    with pytest.raises(ValueError, match="primitive `random_bits`"):
        transition_matrix(Kernel(lambda key, energy, x: jnp.where(jax.random.bits(key) % 2 == 0, x, -x)), ENERGY, XS)
    with pytest.raises(ValueError, match="made of a key's own bits"):
        transition_matrix(Kernel(lambda key, energy, x: x * jax.random.key_data(key)[0].astype(x.dtype)), ENERGY, XS)
    with pytest.raises(ValueError, match="must be listed"):
        transition_matrix(Kernel(sweep), ENERGY, XS[:4])
    with pytest.raises(ValueError, match="at most 10"):
        transition_matrix(Kernel(sweep), ENERGY, XS, most=10)
    with pytest.raises(ValueError, match="energy must be an energy or a function of one sample; got 3"):
        transition_matrix(Kernel(sweep), 3, XS)
    with pytest.raises(ValueError, match=r"exactness.matrix must be .*; got \(3, 3\) and \(2,\)"):
        exactness(np.eye(3), np.ones(2) / 2)


def test_categories_of_one_hot_sites():
    weights = jnp.array([0.3, -0.8, 0.1])

    def energy(x):
        return 1.3 * (jnp.sum(x[0] * x[1]) - jnp.sum(x @ weights.astype(x.dtype)))

    xs = every_sample(CATEGORIES, jnp.zeros((2, 3)))
    for kernel, reversible in ((Gibbs(CATEGORIES), False), (SiteMetropolis(CATEGORIES), True)):
        judged = exactness(transition_matrix(kernel, energy, xs).matrix, probabilities(energy, xs))
        assert judged.invariance < LIMIT
        assert judged.connected
        assert (judged.reversibility < LIMIT) == reversible


def test_parallel_tempering_on_its_extended_states():
    betas, xs = jnp.array([1.0, 0.4]), every_sample(SPINS, jnp.zeros(2))
    energy = 1.5 * Ising(np.array([[0, 1]]), 0.6, jnp.array([0.5, -0.2]))
    sampler = ParallelTempering(Gibbs(SPINS), betas)
    one = sampler.init(energy, xs[0])

    def state(turn, a, b):
        start = jax.vmap(lambda beta, x: sampler.inner.init(sampler.family(energy, beta), x))(betas, jnp.stack([a, b]))
        return one._replace(x=a, energy=start.energy[0], replicas=start, turn=turn)

    turns = jnp.repeat(jnp.arange(2, dtype=one.turn.dtype), 16)
    states = jax.vmap(state)(turns, xs[jnp.tile(jnp.arange(16) // 4, 2)], xs[jnp.tile(jnp.arange(16) % 4, 2)])
    found = transition_matrix(sampler, energy, xs, states=states, label=lambda s: (s.replicas.x, s.turn % 2))
    law = [probabilities(beta * energy, xs) for beta in betas]
    joint = np.tile(0.5 * (law[0][:, None] * law[1][None]).reshape(-1), 2)
    judged = exactness(found.matrix, joint)
    assert judged.invariance < 1e-8  # 0.4 in float32 is not 0.4
    assert judged.connected


def test_simulated_tempering_on_its_levels():
    xs = every_sample(SPINS, jnp.zeros(2))
    energy = 1.5 * Ising(np.array([[0, 1]]), 0.6, jnp.array([0.5, -0.2]))
    sampler = SimulatedTempering(Gibbs(SPINS), jnp.array([1.0, 0.5]), weights=jnp.array([0.0, 0.25]))
    one = sampler.init(energy, xs[0])

    def state(level, x):
        inner = sampler.inner.init(sampler.family(energy, sampler.betas[level]), x)
        return one._replace(x=x, level=level, inner=inner)

    levels = jnp.repeat(jnp.arange(2, dtype=one.level.dtype), 4)
    states = jax.vmap(state)(levels, jnp.tile(xs, (2, 1)))
    found = transition_matrix(sampler, energy, xs, states=states, label=lambda s: (s.x, s.level))
    energies = np.array([float(energy(x)) for x in xs], np.float64)
    weights = np.concatenate([np.exp(-energies), np.exp(-0.5 * energies + 0.25)])
    judged = exactness(found.matrix, weights / weights.sum())
    assert judged.invariance < 1e-7  # these energies are in float32
    assert judged.connected


def test_probabilities_want_a_function_and_samples():
    with refuses("energy must map one sample to a number; got str"):
        probabilities("ising", jnp.zeros((2, 3)))
    with refuses("must list at least one sample"):
        probabilities(lambda x: jnp.sum(x), jnp.zeros((0, 3)))
