"""The laws of a sampler, run over every member. Trees, beta and conditions: `test_promises.py`."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from contracts.samplers import ALIKE, EXACT, GRADIENTS, NAMES, SAMPLERS, Centred, Counting, case, count
from energax.core import FunctionEnergy
from energax.numerics import chain_keys, step_key
from energax.samplers import advance, init_chains, num_chains, one_step, sample
from energax.samplers.chains import _advance
from judges import (
    EVERY_TARGET,
    TARGETS,
    judge_follows,
    judge_independence,
    judge_invariance,
    judge_movement,
    refuses,
    verdict,
)

each = pytest.mark.parametrize("name", NAMES)
each_layout = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in ALIKE)) for n in SAMPLERS]
)
each_exact = pytest.mark.parametrize("name", [param for param in NAMES if param.values[0] in EXACT])


def moved(name, num_steps=6, rows=slice(None)):
    sampler, energy, xs = case(name)
    return advance(jax.random.key(3), sampler, energy, init_chains(sampler, energy, xs[rows]), num_steps)


@pytest.mark.optimised
@each_exact
@pytest.mark.parametrize("truth", EVERY_TARGET)
def test_leaves_skewed_and_tempered_targets_invariant(name, truth):
    judge_invariance(SAMPLERS[name](), EVERY_TARGET[truth]())


def judge_reversible(step):
    """In equilibrium (x, y) and (y, x) have one law: f(x) g(y) - g(x) f(y) has mean 0. `step` maps draws to draws."""
    truth = TARGETS["tilted well, beta 2"]()
    start = truth.sample(7, 100_000)
    x, y = (np.asarray(each, np.float64)[:, 0] for each in (start, step(truth, start)))
    pairs = {"x, x^2": (x * y**2, y * x**2), "right, |x|": ((x > 0) * abs(y), (y > 0) * abs(x))}
    off = {name: a - b for name, (a, b) in pairs.items()}
    verdict("judge_reversible", {k: float(d.mean() / d.std() * np.sqrt(len(d))) for k, d in off.items()})


@pytest.mark.parametrize("name", [name for name in SAMPLERS if SAMPLERS[name]().reversible])
def test_a_step_that_claims_it_is_its_own_reversal(name):
    sampler = SAMPLERS[name]()

    def step(truth, xs):
        return advance(jax.random.key(5), sampler, truth.energy, init_chains(sampler, truth.energy, xs), 1)[0].states.x

    judge_reversible(step)


def test_the_judge_of_reversals_sees_a_rotation():
    """Ranks moved on by a tenth, in a circle: invariant, and never its own reversal."""

    def step(truth, xs):
        ranks = np.argsort(np.argsort(np.asarray(xs)[:, 0]))
        return np.sort(np.asarray(xs)[:, 0])[(ranks + len(ranks) // 10) % len(ranks)][:, None]

    with pytest.raises(AssertionError, match="judge_reversible"):
        judge_reversible(step)


@each_exact
def test_moves(name):
    judge_movement(SAMPLERS[name](), TARGETS["tilted well, beta 2"]())


@each_exact
def test_follows_a_changed_energy(name):
    judge_follows(SAMPLERS[name](), num_steps=200)


@each
def test_refresh_renews_every_cached_number(name):
    sampler, energy, xs = case(name)
    other = Centred(jnp.array([2.0, 1.0, 1.0]))
    stale = jax.vmap(lambda x: sampler.init(energy, x))(xs)
    renewed = jax.vmap(lambda s: sampler.refresh(other, s))(stale)
    fresh = jax.vmap(lambda x: sampler.init(other, x))(xs)
    jax.tree.map(np.testing.assert_array_equal, renewed, fresh)


@each_layout
def test_a_constant_in_the_energy_changes_no_sample(name):
    if name == "simulated_tempering":
        return  # whose levels a constant does weigh anew, by beta times itself
    sampler, energy, xs = case(name)
    plain, before = moved(name)
    lifted = Centred(energy.scale, jnp.full((), 8.0))
    raised, after = advance(jax.random.key(3), sampler, lifted, init_chains(sampler, lifted, xs), 6)
    np.testing.assert_allclose(raised.states.x, plain.states.x, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(after.energy - before.energy, 8.0, atol=1e-4)


@each_layout
def test_scan_is_a_loop(name):
    sampler, energy, xs = case(name)
    chains, info = moved(name)
    keys = chain_keys(jax.random.key(3), len(xs))
    states = jax.vmap(lambda x: sampler.init(energy, x))(xs)
    acceptance, step = [], jax.jit(lambda index, states: one_step(sampler, keys, index, energy, states))
    for index in range(6):
        states, last = step(index, states)
        acceptance.append(last.acceptance)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5), chains.states, states)
    np.testing.assert_allclose(info.acceptance, np.mean(acceptance, 0), rtol=1e-5)
    np.testing.assert_allclose(info.energy, last.energy, rtol=1e-4, atol=1e-5)


@each_layout
def test_vmap_is_a_loop_over_chains(name):
    sampler, energy, xs = case(name)
    key = step_key(chain_keys(jax.random.key(3), 8)[5], 0)
    alone, _ = jax.jit(lambda key, x: sampler.step(key, energy, sampler.init(energy, x)))(key, xs[5])
    states = jax.vmap(lambda x: sampler.init(energy, x))(xs)
    together, _ = jax.jit(lambda keys, s: one_step(sampler, keys, 0, energy, s))(
        chain_keys(jax.random.key(3), 8), states
    )
    np.testing.assert_allclose(alone.x, together.x[5], rtol=1e-5, atol=1e-6)


@each_layout
def test_a_chain_does_not_know_how_many_there_are(name):
    whole, _ = moved(name)
    few, _ = moved(name, rows=slice(0, 3))
    np.testing.assert_allclose(few.states.x, whole.states.x[:3], rtol=1e-5, atol=1e-6)


@each_layout
def test_chains_shard(name):
    sampler, energy, xs = case(name)
    whole, _ = moved(name)
    mesh = Mesh(np.array(jax.devices()[:8]), ("data",))
    split = jax.device_put(init_chains(sampler, energy, xs), NamedSharding(mesh, PartitionSpec("data")))
    sharded, _ = advance(jax.random.key(3), sampler, energy, split, 6)
    assert len({shard.device for shard in sharded.states.x.addressable_shards}) == 8
    np.testing.assert_allclose(sharded.states.x, whole.states.x, rtol=1e-5, atol=1e-6)


@each
def test_one_compile(name):
    sampler, energy, xs = case(name)
    chains = init_chains(sampler, energy, xs)
    advance(jax.random.key(3), sampler, energy, chains, 6)
    before = _advance._cached._cache_size()
    for seed, scale in ((4, 0.2), (5, 0.3)):
        other = jax.tree.map(lambda leaf, scale=scale: scale * leaf if isinstance(leaf, float) else leaf, sampler)
        chains, _ = advance(jax.random.key(seed), other, Centred(energy.scale + seed), chains, 6)
    assert _advance._cached._cache_size() == before


@each
def test_gradients_a_step(name):
    sampler, energy, x = SAMPLERS[name](), Counting(jnp.ones(())), jnp.zeros(3)
    state = sampler.init(energy, x)
    jaxpr = jax.make_jaxpr(lambda key, state: sampler.step(key, energy, state))(jax.random.key(0), state)
    assert count(jaxpr, "cos") == GRADIENTS[name]
    assert count(jaxpr, "sin") <= max(1, GRADIENTS[name])


@each_layout
def test_draws_are_recorded_in_time(name):
    sampler, energy, xs = case(name)
    chains, draws = sample(jax.random.key(3), sampler, energy, init_chains(sampler, energy, xs), 2, thin=2, burn_in=2)
    whole, _ = moved(name)
    assert draws.x.shape == (8, 2, 3)
    assert draws.energy.shape == draws.acceptance.shape == draws.divergent.shape == (8, 2)
    np.testing.assert_allclose(draws.x[:, -1], whole.states.x, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(chains.states.x, whole.states.x, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(draws.energy, jax.vmap(jax.vmap(energy))(draws.x), rtol=1e-4, atol=1e-5)


@each_layout
def test_inside_another_jit_the_numbers_are_the_same(name):
    sampler, energy, xs = case(name)
    inner = jax.jit(lambda key, xs: advance(key, sampler, energy, init_chains(sampler, energy, xs), 6)[0].states.x)
    np.testing.assert_allclose(inner(jax.random.key(3), xs), moved(name)[0].states.x, rtol=1e-5, atol=1e-6)


@each
def test_chains_draw_their_own_noise(name):
    judge_independence(SAMPLERS[name](), num_steps=100)


@each
def test_a_non_finite_energy_is_flagged(name):
    sampler, wall = SAMPLERS[name](), FunctionEnergy(lambda x: jnp.sum(x**2 / 0.0) * 0.0)
    step = jax.jit(lambda key, x: sampler.step(key, wall, sampler.init(wall, x)))
    state, info = step(jax.random.key(0), jnp.ones(2))
    assert bool(info.divergent)
    if name in EXACT:
        assert float(info.acceptance) == 0.0
        np.testing.assert_array_equal(state.x, jnp.ones(2))


@each
def test_a_row_is_refused_where_one_number_is_asked(name):
    sampler = SAMPLERS[name]()
    for field in dataclasses.fields(sampler):
        if field.init and "float" in str(field.type) and "Array" not in str(field.type):
            with refuses(f"{field.name} must be one number"):
                dataclasses.replace(sampler, **{field.name: jnp.full(3, 0.5)})


def test_chains_begin_alike_alone_and_inside_a_program():
    sampler, energy, xs = case("mala")
    alone = init_chains(sampler, energy, xs)
    inside = jax.jit(lambda xs: init_chains(sampler, energy, xs))(xs)
    mapped = jax.vmap(lambda xs: init_chains(sampler, energy, xs))(xs[None])
    for one, two, three in zip(*map(jax.tree.leaves, (alone, inside, mapped)), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5)
        np.testing.assert_allclose(one, three[0], rtol=1e-5)


def test_refuses_at_the_door():
    sampler, energy, xs = case("mala")
    chains = init_chains(sampler, energy, xs)
    key = jax.random.key(0)
    refused = {
        "must be finite; got nan": lambda: init_chains(sampler, energy, xs.at[3, 1].set(jnp.nan)),
        "must be floating point": lambda: init_chains(sampler, energy, jnp.zeros((4, 3), jnp.int32)),
        "must be an array": lambda: init_chains(sampler, energy, [1.0, 2.0]),
        "as many chains": lambda: init_chains(sampler, energy, {"a": xs, "b": xs[:4]}),
        "scalar": lambda: init_chains(sampler, lambda x: x**2, xs),
        "finite at every start; got inf at chain 0": lambda: init_chains(sampler, lambda x: jnp.sum(x) + jnp.inf, xs),
        "one row a chain \\(8\\)": lambda: init_chains(sampler, energy, xs, jnp.zeros((3, 3))),
        "cond must be None": lambda: init_chains(sampler, lambda x: jnp.sum(x), xs, jnp.zeros((8, 3))),
        "num_steps must be an integer >= 1; got 0": lambda: advance(key, sampler, energy, chains, 0),
        "one typed key": lambda: advance(jax.random.PRNGKey(0), sampler, energy, chains, 1),
        "thin must be an integer >= 1": lambda: sample(key, sampler, energy, chains, 1, thin=0),
        "burn_in must be an integer >= 0": lambda: sample(key, sampler, energy, chains, 1, burn_in=-1),
        "chains must be chains": lambda: num_chains(None),
        "energy must be": lambda: advance(key, sampler, 3.0, chains, 1),
    }
    for message, call in refused.items():
        with refuses(message):
            call()
