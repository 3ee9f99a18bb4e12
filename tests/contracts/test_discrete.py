"""The laws of a kernel of discrete samples, run over every member. Trees, beta, conditions: `test_promises.py`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from contracts.discrete import CASES, EXACT, MEMBERS, REVERSIBLE, ROUGH, TARGETS, TRIANGLES, Pairwise, few, truth
from energax.evaluation import every_sample, exactness, probabilities, transition_matrix
from energax.numerics import chain_keys, step_key
from energax.samplers import SPINS, advance, init_chains, one_step, sample
from energax.samplers.chains import _advance
from enumerated import judge_law, judge_movement, judge_reversible, run, space

each = pytest.mark.parametrize("name", MEMBERS)
ALIKE = ("random scan gibbs", "site metropolis", "checkerboard", "dula", "wolff")
"""The laws of loops, shards and records run over these with the slow tests only."""
each_layout = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in ALIKE)) for n in MEMBERS]
)
flows = {}


def flow(name, target):
    """The starts and ends of 1e5 chains from exact draws, three steps; run once for all laws."""
    if (name, target) not in flows:
        flows[name, target] = run(MEMBERS[name].make(TARGETS[target]), truth(target))
    return flows[name, target]


@pytest.mark.parametrize(("name", "target"), EXACT)
def test_leaves_its_target_invariant(name, target):
    judge_law(*flow(name, target), truth(target))


@pytest.mark.parametrize(("name", "target"), REVERSIBLE)
def test_is_reversible(name, target):
    judge_reversible(*flow(name, target), truth(target))


@pytest.mark.parametrize(("name", "target"), CASES)
def test_moves(name, target):
    judge_movement(*flow(name, target), truth(target))


@pytest.mark.parametrize("target", TRIANGLES)
@each
def test_its_transition_matrix_is_exact(name, target):
    """All random decisions enumerated, in double precision: no statistics."""
    at, member = TRIANGLES[target], MEMBERS[name]
    xs = every_sample(at.sites, at.like)
    sampler = member.make(at)
    if hasattr(sampler, "updates"):
        sampler = type(sampler)(at.sites, 1)
    found = transition_matrix(sampler, at.energy, xs)
    judged = exactness(found.matrix, probabilities(at.energy, xs))
    assert judged.rows < 1e-12
    assert judged.connected
    assert found.reused == ()
    assert found.stale < 1e-12
    assert sampler.reversible == member.reversible
    if member.exact:
        assert judged.invariance < 1e-14
        assert (judged.reversibility < 1e-14) == member.reversible
    else:
        assert judged.invariance > 1e-3


@each
def test_follows_a_changed_energy(name):
    """Chains made under one energy have the law of another after enough steps under it."""
    sampler, energy, _ = few(name)
    other = space(Pairwise(-ROUGH, jnp.linspace(1.0, -0.2, 5)), SPINS, jnp.ones(5))
    chains = init_chains(sampler, energy, jnp.ones((4_000, 5)))
    chains, _ = advance(jax.random.key(1), sampler, other.energy, chains, 300)
    after = other.numbers(chains.states.x)
    if MEMBERS[name].exact:
        judge_law(other.draw(3, len(after)), after, other)


def moved(name, num_steps=6, rows=slice(None)):
    sampler, energy, xs = few(name)
    return advance(jax.random.key(3), sampler, energy, init_chains(sampler, energy, xs[rows]), num_steps)


@each
def test_refresh_renews_every_cached_number(name):
    sampler, energy, xs = few(name)
    other = Pairwise(-ROUGH, jnp.ones(5))
    stale = jax.vmap(lambda x: sampler.init(energy, x))(xs)
    renewed = jax.vmap(lambda s: sampler.refresh(other, s))(stale)
    fresh = jax.vmap(lambda x: sampler.init(other, x))(xs)
    jax.tree.map(np.testing.assert_array_equal, renewed, fresh)


@each
def test_the_state_is_a_sample_and_its_numbers_are_true(name):
    sampler, energy, _ = few(name)
    chains, info = moved(name)
    assert set(np.unique(chains.states.x)) == {-1.0, 1.0}
    for field in chains.states._fields[1:]:
        true = getattr(jax.vmap(lambda x: sampler.init(energy, x))(chains.states.x), field)
        np.testing.assert_allclose(getattr(chains.states, field), true, rtol=1e-5, atol=1e-5)
    assert not np.any(info.divergent)
    assert np.all((np.asarray(info.acceptance) >= 0.0) & (np.asarray(info.acceptance) <= 1.0 + 1e-6))


@each_layout
def test_scan_is_a_loop(name):
    sampler, energy, xs = few(name)
    chains, info = moved(name)
    keys = chain_keys(jax.random.key(3), len(xs))
    states = jax.vmap(lambda x: sampler.init(energy, x))(xs)
    acceptance, step = [], jax.jit(lambda index, states: one_step(sampler, keys, index, energy, states))
    for index in range(6):
        states, last = step(index, states)
        acceptance.append(last.acceptance)
    np.testing.assert_array_equal(chains.states.x, states.x)
    np.testing.assert_allclose(info.acceptance, np.mean(acceptance, 0), rtol=1e-5)
    np.testing.assert_allclose(info.energy, last.energy, rtol=1e-4, atol=1e-5)


@each_layout
def test_vmap_is_a_loop_over_chains_and_a_chain_does_not_know_how_many_there_are(name):
    sampler, energy, xs = few(name)
    key = step_key(chain_keys(jax.random.key(3), 8)[5], 0)
    alone, _ = jax.jit(lambda key, x: sampler.step(key, energy, sampler.init(energy, x)))(key, xs[5])
    np.testing.assert_array_equal(alone.x, moved(name, 1)[0].states.x[5])
    np.testing.assert_array_equal(moved(name, rows=slice(0, 3))[0].states.x, moved(name)[0].states.x[:3])


@each_layout
def test_chains_shard(name):
    sampler, energy, xs = few(name)
    mesh = Mesh(np.array(jax.devices()[:8]), ("data",))
    split = jax.device_put(init_chains(sampler, energy, xs), NamedSharding(mesh, PartitionSpec("data")))
    sharded, _ = advance(jax.random.key(3), sampler, energy, split, 6)
    assert len({shard.device for shard in sharded.states.x.addressable_shards}) == 8
    np.testing.assert_array_equal(sharded.states.x, moved(name)[0].states.x)


@each
def test_one_compile(name):
    sampler, energy, xs = few(name)
    chains = init_chains(sampler, energy, xs)
    advance(jax.random.key(3), sampler, energy, chains, 6)
    before = _advance._cached._cache_size()
    for seed in (4, 5):
        other = Pairwise(energy.strengths + seed, energy.fields)
        chains, _ = advance(jax.random.key(seed), few(name).sampler, other, chains, 6)
    assert _advance._cached._cache_size() == before


@each_layout
def test_draws_are_recorded_in_time_and_inside_another_jit(name):
    sampler, energy, xs = few(name)

    @jax.jit
    def inner(key, xs):
        return sample(key, sampler, energy, init_chains(sampler, energy, xs), 2, thin=2, burn_in=2)

    _, draws = inner(jax.random.key(3), xs)
    assert draws.x.shape == (8, 2, 5)
    np.testing.assert_array_equal(draws.x[:, -1], moved(name)[0].states.x)
    np.testing.assert_allclose(draws.energy, jax.vmap(jax.vmap(energy))(draws.x), rtol=1e-4, atol=1e-5)


@each
def test_a_non_finite_energy_is_flagged_and_nothing_moves(name):
    sampler, wall = few(name).sampler, Pairwise(ROUGH.at[2].set(jnp.nan), jnp.zeros(5))
    step = jax.jit(lambda key, x: sampler.step(key, wall, sampler.init(wall, x)))
    state, info = step(jax.random.key(0), jnp.ones(5))
    assert bool(info.divergent)
    assert float(info.acceptance) == 0.0
    np.testing.assert_array_equal(state.x, jnp.ones(5))
