"""Kin of persistent CD (short-run, fast weights, tempered, improved) against closed forms, and on small machines."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import (
    BernoulliRBM,
    GaussianMixture,
    IndependentBits,
    IndependentCategories,
    IndependentSpins,
    Ising,
    Potts,
)
from energax.evaluation import every_sample
from energax.objectives import (
    AbstractStart,
    ExactLikelihood,
    FastWeightsPCD,
    GeneratorStart,
    ImprovedCD,
    PersistentCD,
    ShortRun,
    TemperedPCD,
)
from energax.objectives.improved_cd import nearest_neighbour_entropy
from energax.objectives.negatives import Walk, standing
from energax.runtime.alarms import Watchdog
from energax.samplers import BITS, CATEGORIES, MALA, SPINS, ULA, BlockGibbs, Cycle, Gibbs, ParallelTempering, Whitened
from energax.samplers.parallel_tempering import tempered_joint
from judges import reach
from objectives.test_contrastive import Bell, Signs, Still, TwoPoints, bell, judge_exact_gradient, turn

KEY = jax.random.key(0)
DATA = jax.random.normal(KEY, (64, 1)) * 0.3 + 1.0


@eqx.filter_jit
def slope(rule, model, state, batch, key=KEY):
    """The gradient that an optimiser would see."""
    return eqx.filter_grad(lambda m: rule(key, m, state, batch)[0])(model)


def after(rule, model, batch, num):
    """The state after `num` turns under one model, compiled as one program."""

    @eqx.filter_jit
    def whole(rule, model, batch):
        def one(state, index):
            return rule(jax.random.fold_in(KEY, index), model, state, batch)[1]

        return jax.lax.scan(one, rule.init(KEY, model, batch), jnp.arange(num))

    return whole(rule, model, batch)


# --- short-run ------------------------------------------------------------------------------------------------------


def test_short_run_has_the_exact_gradient_given_exact_negatives_and_forgets():
    model, batch = bell(), {"x": DATA}
    judge_exact_gradient(slope(ShortRun(TwoPoints(), 1, 32, start=Signs()), model, None, batch), model, DATA)
    seen = [turn(ShortRun(Still(), 1, 32), key, model, None, batch)[1][1] for key in jax.random.split(KEY)]
    assert float(seen[0]["energy_model"]) != float(seen[1]["energy_model"])
    kept = PersistentCD(Still(), 1, 32)
    state = kept.init(KEY, model, batch)
    seen = [turn(kept, key, model, state, batch)[1][1] for key in jax.random.split(KEY)]
    assert float(seen[0]["energy_model"]) == float(seen[1]["energy_model"])


def test_short_run_learns_a_generator_and_not_the_density():
    """ULA steps of h from N(0, 1) under a x^2 / 2 have variance r^2K + 2 h (1 - r^2K) / (1 - r^2), r = 1 - h a. The
    gradient is 0 where that is the data's variance, and not where the model's 1 / a is. Within 4.9 standard errors."""
    h, steps, spread = 0.05, 8, 0.5
    grid = np.linspace(0.1, 15.0, 100_000)
    r = (1.0 - h * grid) ** 2
    fits = grid[np.argmin(np.abs(r**steps + 2 * h * (1 - r**steps) / (1 - r) - spread))]
    num = 40_000
    batch = {"x": jnp.array([[-1.0], [1.0]]) * jnp.sqrt(spread)}
    rule = ShortRun(ULA(h), steps, num)
    error = reach() * 0.5 * spread * np.sqrt(2.0 / num)
    assert abs(float(slope(rule, Bell(jnp.asarray(fits, jnp.float32), jnp.zeros(())), None, batch).a)) < error
    assert abs(float(slope(rule, Bell(jnp.asarray(1.0 / spread), jnp.zeros(())), None, batch).a)) > error


# --- fast weights ---------------------------------------------------------------------------------------------------


def judge_recursion(rule, before, now, model):
    """Walkers lie at mean +- 1 / sqrt(precision) of parameters + fast, and fast went by decay and gradient."""
    a, m = model.a + before.fast.a, model.m + before.fast.m
    walkers = now.buffer.samples.states
    np.testing.assert_allclose(np.unique(walkers), m + jnp.array([-1.0, 1.0]) / jnp.sqrt(a), rtol=1e-5)
    slope_a = jnp.mean((DATA - model.m) ** 2) / 2 - jnp.mean((walkers - model.m) ** 2) / 2
    slope_m = -model.a * (jnp.mean(DATA) - jnp.mean(walkers))
    np.testing.assert_allclose(now.fast.a, rule.decay * before.fast.a - rule.fast_rate * slope_a, rtol=1e-4)
    np.testing.assert_allclose(now.fast.m, rule.decay * before.fast.m - rule.fast_rate * slope_m, rtol=1e-4)


def test_fast_weights_follow_their_recursion():
    model, batch = bell(), {"x": DATA}
    rule = FastWeightsPCD(TwoPoints(), 1, 32, fast_rate=0.05, start=Signs())
    first, _ = after(rule, model, batch, 2)
    _, (second, metrics) = turn(rule, KEY, model, first, batch)
    judge_recursion(rule, first, second, model)
    assert float(metrics["fast_norm"]) > 0.01
    turned = first._replace(fast=jax.tree.map(jnp.negative, first.fast))
    with pytest.raises(AssertionError):  # planted: walkers pulled to where they are
        judge_recursion(rule, turned, second, model)
    alone = FastWeightsPCD(TwoPoints(), 1, 32, fast_rate=0.05, part=lambda m: m.m, start=Signs())
    assert alone.init(KEY, model, batch).fast.a is None


# --- tempered -------------------------------------------------------------------------------------------------------


class AtRight(AbstractStart):
    """Every walker is born at 4."""

    def __call__(self, key, xs, num):
        return jnp.full((num, 1), 4.0)


def test_tempered_walkers_find_the_mass_of_a_mode_that_none_was_born_in():
    """The share at -4 is .3 within 4.9 standard errors over 400 ladders; of plain walkers a few per cent at most."""
    model = GaussianMixture(jnp.log(jnp.array([0.3, 0.7])), jnp.array([[-4.0], [4.0]]), jnp.ones((2, 1)))
    batch, num = {"x": jnp.ones((4, 1))}, 400
    ladder = ParallelTempering(MALA(0.5), jnp.array([1.0, 0.5, 0.25, 0.12, 0.05]))
    chains, metrics = after(TemperedPCD(ladder, 2, num, start=AtRight()), model, batch, 300)
    share = float(jnp.mean((chains.states.x < 0).astype(jnp.float32)))
    assert abs(share - 0.3) < reach() * np.sqrt(0.21 / num), share
    assert float(metrics["swap_rate"][-1]) > 0.3
    assert float(metrics["round_trips"][-1]) > 3.0
    frozen, _ = after(PersistentCD(MALA(0.5), 2, num, start=AtRight()), model, batch, 300)
    assert float(jnp.mean((frozen.buffer.samples.states < 0).astype(jnp.float32))) < 0.05
    with pytest.raises(ValueError, match="must be a ParallelTempering; got MALA"):
        TemperedPCD(MALA(0.5), 2, num)


# --- improved -------------------------------------------------------------------------------------------------------


def judge_through_the_step(gradient, rule, model, state, key):
    """d/d(a, m) of mean E'(x - h a (x - m) + noise): E' is a (x' - m), dx'/da = -h (x - m), dx'/dm = h a."""
    h = rule.negatives.sampler.step_size
    _, draw, last = jax.random.split(key, 3)
    _, xs, _ = state.buffer.draw(draw, rule.num_samples)
    force = model.a * (rule.step(last, model, state, xs) - model.m)
    np.testing.assert_allclose(gradient.a, jnp.mean(force * -h * (xs - model.m)), rtol=1e-4)
    np.testing.assert_allclose(gradient.m, jnp.mean(force) * h * model.a, rtol=1e-4)


def test_improved_cd_goes_through_the_step():
    model, batch = bell(), {"x": DATA}
    base = PersistentCD(ULA(0.1), 2, 32)
    rule = ImprovedCD(base, 16, entropy_weight=0.0)
    state = base.init(KEY, model, batch)
    first, *_ = jax.random.split(KEY, 3)
    _, (new, _) = turn(base, first, model, state, batch)
    whole, plain = slope(rule, model, state, batch), slope(base, model, state, batch, first)
    term = jax.tree.map(jnp.subtract, whole, plain)
    judge_through_the_step(term, rule, model, new, KEY)
    with pytest.raises(AssertionError):  # planted: another weight
        judge_through_the_step(jax.tree.map(lambda leaf: 2.0 * leaf, term), rule, model, new, KEY)


def test_entropy_of_nearest_neighbours():
    """2.84 nats for N(0, 1) in the plane, half of log |C| more when stretched, within 4.9 standard errors over 20."""
    wanted = 1.0 + np.log(2 * np.pi) + np.log(3.0)

    def one(key):
        xs = jax.random.normal(key, (400, 2)) * jnp.array([[3.0, 1.0]])
        return nearest_neighbour_entropy(xs[:200], xs, jnp.arange(200))

    found = np.asarray(jax.vmap(one)(jax.random.split(KEY, 20)), np.float64)
    assert abs(found.mean() - wanted) < reach() * found.std(ddof=1) / np.sqrt(20) + 0.02, found.mean()
    half = 0.5 * (found - np.log(np.pi) - np.log(399.0) - 0.5772) + np.log(np.pi) + np.log(399.0) + 0.5772
    assert abs(half.mean() - wanted) > 0.3  # planted: the factor dim forgotten


def test_gradient_of_the_entropy():
    """Stretching N(0, 1)^4 by 1 + e adds 4 e nats; the neighbours' finite number is worth a tenth of it."""

    def one(key):
        xs = jax.random.normal(key, (1500, 4))
        return jax.grad(lambda s: nearest_neighbour_entropy(s * xs[:300], xs, jnp.arange(300)))(1.0)

    found = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(KEY, 16)), np.float64)
    assert abs(found.mean() - 4.0) < reach() * found.std(ddof=1) / 4.0 + 0.4, (found.mean(), found.std())
    assert found.std(ddof=1) / 4.0 < 0.3


# --- on a machine ---------------------------------------------------------------------------------------------------


def judge_machine(rule, model, states, num, turns=30, under=lambda model, state: model):
    """The gradient on a machine, after some turns, is the likelihood's in every parameter within 4.9 / (2 sqrt(num)).

    Every parameter's gradient is a mean of numbers in an interval of length 2 at most. False-fail rate under 1e-5 for
    independent walkers. `under` is the model whose likelihood is meant, that which the walkers walk under.
    """
    batch = {"x": states[:3]}
    state = after(rule, model, batch, turns)[0] if turns else rule.init(KEY, model, batch)
    found = slope(rule, model, state, batch)
    wanted = slope(ExactLikelihood(states), under(model, state), None, batch)
    width = float(jnp.max(states) - jnp.min(states))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, atol=4.9 * 0.5 * width / np.sqrt(num))


def test_persistent_and_tempered_on_a_restricted_machine():
    rng = np.random.default_rng(0)
    rbm = BernoulliRBM(*(jnp.asarray(1.5 * rng.normal(size=size), jnp.float32) for size in ((4, 3), (4,), (3,))))
    states, num = every_sample(BITS, jnp.zeros(4)), 10_000
    start = GeneratorStart(IndependentBits(jnp.zeros(4)))
    plain = PersistentCD(BlockGibbs(), 1, num, start=start)
    judge_machine(plain, rbm, states, num)
    with pytest.raises(AssertionError):  # planted: walkers that were born a step ago
        judge_machine(plain, rbm, states, num, turns=0)
    ladder = ParallelTempering(BlockGibbs(), jnp.array([1.0, 0.5, 0.0]), family=tempered_joint)
    judge_machine(TemperedPCD(ladder, 1, num, start=start), rbm, states, num)


TRIANGLE = jnp.array([[0, 1], [1, 2], [0, 2]])
MACHINES = {
    "ising": (
        Ising(TRIANGLE, jnp.array([0.9, -0.6, 0.5]), jnp.array([0.2, -0.5, 0.4])),
        SPINS,
        IndependentSpins(jnp.zeros(3)),
    ),
    "potts": (
        Potts(TRIANGLE, jnp.array([1.5, -0.8, 0.9]), jnp.array([[0.3, -0.2, 0.0], [0.0, 0.6, -0.4], [0.5, 0.0, 0.0]])),
        CATEGORIES,
        IndependentCategories(jnp.zeros((3, 3))),
    ),
}
ON_SITES = {
    "persistent": lambda sites, num, start: PersistentCD(Gibbs(sites), 1, num, start=start),
    "tempered": lambda sites, num, start: TemperedPCD(
        ParallelTempering(Gibbs(sites), jnp.array([1.0, 0.5, 0.0])), 1, num, start=start
    ),
    "fast weights": lambda sites, num, start: FastWeightsPCD(Gibbs(sites), 1, num, fast_rate=0.05, start=start),
}


@pytest.mark.parametrize(
    ("name", "machine"),
    [
        ("persistent", "ising"),
        ("tempered", "ising"),
        ("fast weights", "ising"),
        *(pytest.param(name, "potts", marks=pytest.mark.slow) for name in ON_SITES),
    ],
)
def test_walkers_on_spins_and_categories(name, machine):
    """Energies linear in their parameters: where the walkers walk under parameters + fast, the likelihood is theirs."""
    model, sites, born = MACHINES[machine]
    states, num = every_sample(sites, born.sample(KEY)), 10_000
    rule = ON_SITES[name](sites, num, GeneratorStart(born))
    shifted = name == "fast weights"
    judge_machine(rule, model, states, num, under=lambda m, state: eqx.apply_updates(m, state.fast) if shifted else m)
    with pytest.raises(AssertionError):  # planted: fast weights that walkers do not feel; walkers born a step ago
        judge_machine(rule, model, states, num, turns=30 if shifted else 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ShortRun(ULA(0.1), 0, 8), "num_steps must be"),
        (lambda: FastWeightsPCD(ULA(0.1), 1, 8, decay=1.0), "decay must"),
        (lambda: ImprovedCD(PersistentCD(ULA(0.1), 1, 8), 9), "num_samples must be <= the walkers, 8; got 9"),
        (lambda: ImprovedCD(PersistentCD(MALA(0.1), 1, 8), 8), "steps that can be differentiated, .* as ULA; got MALA"),
        (lambda: ImprovedCD(PersistentCD(ULA(0.1), 1, 1), 1), "must hold two walkers or more"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# --- the temperature that is told -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sampler", "told"),
    [
        (MALA(0.1), 1.0),
        (ULA(0.1, temperature=0.1), 0.1),
        (ParallelTempering(ULA(0.1, temperature=0.1), jnp.array([1.0, 0.5])), 0.1),
        (Whitened(ULA(0.1, temperature=2.0), 0.5), 2.0),
        (Cycle((MALA(0.1), Cycle((ULA(0.1, temperature=0.5), ULA(0.1))))), 0.5),
        (ParallelTempering(MALA(0.1), jnp.array([1.0, 0.5])), 1.0),
    ],
)
def test_the_temperature_of_the_kernel_inside_is_told(sampler, told):
    moved = Walk(DATA, jnp.ones(len(DATA), bool), None)
    assert float(standing(sampler, moved, DATA)["temperature"]) == pytest.approx(told)


def test_tempered_walkers_that_are_cold_are_called():
    rule = TemperedPCD(ParallelTempering(ULA(0.1, temperature=0.1), jnp.array([1.0, 0.5])), 1, 4)
    _, (_, seen) = turn(rule, KEY, bell(), rule.init(KEY, bell(), {"x": DATA}), {"x": DATA})
    assert [
        alarm.name for alarm in Watchdog().look(np.arange(1), {"temperature": np.asarray(seen["temperature"])[None]})
    ]
