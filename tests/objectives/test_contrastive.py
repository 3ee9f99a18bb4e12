"""CD and PCD against the exact gradient, where chains start, which slots they go back to, and how the step adapts."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array

from energax.core import AbstractEnergy, AbstractSampler, freeze
from energax.energies import standard_normal
from energax.objectives import (
    AbstractStart,
    ContrastiveDivergence,
    DataStart,
    GeneratorStart,
    NormalStart,
    PersistentCD,
)
from energax.objectives.negatives import check_sampler, contrast, walk
from energax.samplers import MALA, ULA, ULAPair
from energax.samplers.ula import ULAInfo, ULAState
from energax.training import Phase, Trainer, run_steps
from judges import reach

KEY = jax.random.key(0)


class Bell(AbstractEnergy):
    """E(x) = a/2 (x - m)^2, so p = N(m, 1/a)."""

    a: Array
    m: Array

    def __call__(self, x, cond=None):
        return 0.5 * self.a * jnp.sum((x - self.m) ** 2)


class TwoPoints(AbstractSampler):
    """Puts chains started at +-1 to m +- 1/sqrt(a): two points with exactly the moments of the model, E dE/d(a, m)."""

    def init(self, energy, x):
        return ULAState(x)

    def refresh(self, energy, state):
        return state

    def step(self, key, energy, state):
        x = energy.m + jnp.sign(state.x) / jnp.sqrt(energy.a)
        return ULAState(x), ULAInfo(energy(x), jnp.ones(()), jnp.array(False))


class Signs(AbstractStart):
    """Walkers born at +1, -1, +1, -1, ..."""

    def __call__(self, key, xs, num):
        return jnp.where(jnp.arange(num)[:, None] % 2 == 0, 1.0, -1.0).astype(xs.dtype)


class Still(AbstractSampler):
    """A chain that never moves."""

    def init(self, energy, x):
        return ULAState(x)

    def refresh(self, energy, state):
        return state

    def step(self, key, energy, state):
        return state, ULAInfo(energy(state.x), jnp.ones(()), jnp.array(False))


@eqx.filter_jit
def turn(rule, key, model, state, batch):
    """One call of an objective, compiled."""
    return rule(key, model, state, batch)


@eqx.filter_jit
def gradient_of(rule, model, batch, state):
    """The gradient that an optimiser would see."""
    return eqx.filter_grad(lambda m: rule(KEY, m, state, batch)[0])(model)


def bell():
    return Bell(jnp.array(2.0), jnp.array(0.5))


def judge_exact_gradient(gradient, model, data):
    """d NLL / da = E_data (x - m)^2 / 2 - 1 / (2 a), d NLL / dm = -a E_data (x - m), in closed form."""
    wanted_a = jnp.mean((data - model.m) ** 2) / 2 - 1 / (2 * model.a)
    wanted_m = -model.a * jnp.mean(data - model.m)
    np.testing.assert_allclose(gradient.a, wanted_a, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gradient.m, wanted_m, rtol=1e-4, atol=1e-5)


def test_gradient_is_the_likelihoods_given_exact_negatives():
    data = jax.random.normal(KEY, (64, 1)) * 0.3 + 1.0
    batch, model = {"x": data}, bell()
    pcd = PersistentCD(TwoPoints(), 1, 32, start=Signs())
    judge_exact_gradient(gradient_of(pcd, model, batch, pcd.init(KEY, model, batch)), model, data)
    signs = {"x": jnp.where(jnp.arange(64)[:, None] % 2 == 0, 1.0, -1.0)}  # CD starts at the data: here +-1
    judge_exact_gradient(gradient_of(ContrastiveDivergence(TwoPoints(), 1), model, signs, None), model, signs["x"])


def test_the_gradient_judge_sees_planted_bugs():
    data = jax.random.normal(KEY, (64, 1)) * 0.3 + 1.0
    model, start = bell(), Signs()(KEY, data, 32)
    good = jnp.ones(32, bool)

    def through_the_chain(m):  # a peer differentiated through its Langevin steps
        negatives = m.m + jnp.sign(start) / jnp.sqrt(m.a)
        return contrast(m, data, negatives, good, 0.0)[0]

    def wrong_sign(m):
        negatives = walk(KEY, TwoPoints(), m, start, 1).x
        return -contrast(m, data, negatives, good, 0.0)[0]

    for bug in (through_the_chain, wrong_sign):
        with pytest.raises(AssertionError):
            judge_exact_gradient(eqx.filter_jit(eqx.filter_grad(bug))(model), model, data)


def test_penalty_adds_its_own_gradient():
    data = jnp.array([[1.0], [2.0]])
    batch, model = {"x": data}, bell()
    loss, (_, metrics) = turn(ContrastiveDivergence(Still(), 1, energy_penalty=0.5), KEY, model, None, batch)
    energies = jax.vmap(model)(data)
    np.testing.assert_allclose(loss, jnp.mean(energies**2), rtol=1e-6)  # the gap is 0 where chains stand still
    assert float(metrics["gap"]) == 0.0


def judge_starts_at_data(rule, data):
    """With a step of 1e-8 the negatives lie where the chains began: at the data, so that the gap is nearly nothing."""
    model, batch = bell(), {"x": data}
    _, (_, metrics) = turn(rule, KEY, model, rule.init(KEY, model, batch), batch)
    assert abs(float(metrics["gap"])) < 1e-2 * abs(float(metrics["energy_data"]))


def test_cd_starts_at_the_data_and_not_from_noise():
    data = 5.0 + jax.random.normal(KEY, (64, 1))
    judge_starts_at_data(ContrastiveDivergence(ULA(1e-8), 3), data)
    with pytest.raises(AssertionError):  # planted: a peer's "CD-k" started at N(0, I)
        judge_starts_at_data(PersistentCD(ULA(1e-8), 3, 64), data)


def judge_same_slots(before, after):
    """Walkers that stand still leave every slot as it was: they went back to where they came from."""
    np.testing.assert_array_equal(before.buffer.samples.states, after.buffer.samples.states)


def test_walkers_go_back_to_their_own_slots():
    model, batch = bell(), {"x": jnp.ones((8, 1))}
    rule = PersistentCD(Still(), 1, 8, buffer_size=32)
    first = state = rule.init(KEY, model, batch)
    for i in range(6):
        _, (state, metrics) = turn(rule, jax.random.fold_in(KEY, i), model, state, batch)
    judge_same_slots(first, state)
    assert float(metrics["age_mean"]) == pytest.approx(6 * 8 / 32)
    _, xs, ages = state.buffer.draw(KEY, 8)
    wrong, _ = state.buffer.write(jnp.arange(8), xs, ages)  # planted: written first in, first out
    with pytest.raises(AssertionError):
        judge_same_slots(first, state._replace(buffer=wrong))


def test_restarts_are_newborn_and_ages_count_turns():
    model, batch = bell(), {"x": jnp.ones((64, 1))}
    rule = PersistentCD(Still(), 1, 256, restart=0.25, start=NormalStart(3.0))
    state = begin = rule.init(KEY, model, batch)
    for i in range(3):
        _, (state, metrics) = turn(rule, jax.random.fold_in(KEY, i), model, state, batch)
    ages = np.asarray(state.buffer.ages.states)
    assert float(metrics["age_max"]) == 3.0
    moved = np.asarray(state.buffer.samples.states != begin.buffer.samples.states)[:, 0]
    expected = 1 - 0.75**3
    assert abs(moved.mean() - expected) < reach() * np.sqrt(expected * (1 - expected) / 256)
    assert moved[ages < 3].all()  # born in the second or third turn
    assert abs((ages < 3).mean() - (1 - 0.75**2)) < reach() * np.sqrt(0.75**2 * (1 - 0.75**2) / 256)
    fresh = np.asarray(state.buffer.samples.states)[moved]
    assert abs(fresh.std() / 3.0 - 1.0) < 4 / np.sqrt(
        2 * moved.sum()
    )  # true restarts: the start's spread, not a jitter


def test_step_size_walks_to_the_asked_acceptance_from_both_sides():
    model, batch = bell(), {"x": jnp.ones((8, 4))}
    chunk = {"x": jnp.ones((150, 8, 4))}
    rest = optax.set_to_zero()
    for first in (1e-3, 30.0):
        rule = PersistentCD(MALA(jnp.array(first)), 2, 64, adapt_target=0.7, adapt_rate=0.3)
        trainer = Trainer((Phase(rule, rest),))
        state, metrics = run_steps(trainer, trainer.init(KEY, model, batch), chunk)
        assert abs(float(jnp.mean(metrics["acceptance"][-30:])) - 0.7) < 0.05
        assert float(jnp.exp(state.objectives[0].log_step)) == pytest.approx(float(metrics["step_size"][-1]), rel=0.3)


def test_step_size_stays_between_its_bounds():
    model, batch = bell(), {"x": jnp.ones((8, 1))}
    rule = ContrastiveDivergence(MALA(0.1), 1, adapt_target=0.5, adapt_rate=5.0, min_step_size=0.05, max_step_size=0.2)
    state = rule.init(KEY, model, batch)
    for i in range(3):
        _, (state, _) = turn(rule, jax.random.fold_in(KEY, i), model, state, batch)
        assert 0.05 * 0.999 <= float(jnp.exp(state)) <= 0.2 * 1.001


def test_temperature_is_told():
    model, batch = bell(), {"x": jnp.ones((8, 1))}
    cold = ContrastiveDivergence(ULA.from_noise(10.0, 0.005), 1)  # IGEBM's step and noise
    _, (_, metrics) = turn(cold, KEY, model, None, batch)
    assert float(metrics["temperature"]) == pytest.approx(0.005**2 / 20.0)
    _, (_, metrics) = turn(ContrastiveDivergence(MALA(0.1), 1), KEY, model, None, batch)
    assert float(metrics["temperature"]) == 1.0


def test_starts_draw_like_the_data():
    data = jax.random.normal(KEY, (16, 3)) + 7.0
    rows = DataStart(0.0)(KEY, data, 40)
    assert rows.shape == (40, 3)
    assert all(any(np.array_equal(row, one) for one in np.asarray(data)) for row in np.asarray(rows))
    assert float(jnp.std(DataStart(2.0)(KEY, jnp.zeros((4, 2)), 2000))) == pytest.approx(2.0, rel=0.05)


class Wrong(AbstractStart):
    def __call__(self, key, xs, num):
        return jnp.zeros((num, 99))


BAD = {
    "steps": (lambda: ContrastiveDivergence(ULA(0.1), 0), "num_steps"),
    "penalty": (lambda: ContrastiveDivergence(ULA(0.1), 1, energy_penalty=-1.0), "energy_penalty"),
    "target": (lambda: ContrastiveDivergence(MALA(0.1), 1, adapt_target=1.5), "target"),
    "no_test": (
        lambda: PersistentCD(ULA(0.1), 1, 8, adapt_target=0.5),
        "adapt_target must be None for a sampler without an acceptance test; got ULA",
    ),
    "no_sampler": (
        lambda: check_sampler("PersistentCD", None),
        "PersistentCD.sampler must be a sampler, .*; got NoneType",
    ),
    "a_pair": (lambda: check_sampler("PersistentCD", ULAPair(0.1)), "must be a sampler, as ULA.*; got ULAPair"),
    "a_class": (lambda: check_sampler("PersistentCD", ULA), "must be a sampler, as ULA.*; got ULA"),
    "rate": (lambda: PersistentCD(ULA(0.1), 1, 8, adapt_rate=-5.0), "rate"),
    "no_step_size": (lambda: ContrastiveDivergence(Still(), 1, adapt_target=0.5), "step_size"),
    "chains": (lambda: PersistentCD(ULA(0.1), 1, 0), "num_chains"),
    "buffer": (lambda: PersistentCD(ULA(0.1), 1, 8, buffer_size=4), "buffer_size"),
    "restart": (lambda: PersistentCD(ULA(0.1), 1, 8, restart=1.5), "restart"),
    "bounds": (
        lambda: PersistentCD(MALA(0.1), 1, 8, adapt_target=0.5, min_step_size=2.0, max_step_size=1.0),
        "highest",
    ),
    "start": (lambda: PersistentCD(ULA(0.1), 1, 8, start=Wrong()).init(KEY, bell(), {"x": jnp.ones((4, 1))}), "start"),
    "scale": (lambda: NormalStart(0.0), "scale"),
    "not_scalar": (
        lambda: ContrastiveDivergence(ULA(0.1), 1).init(KEY, lambda x: x, {"x": jnp.ones((4, 2))}),
        "scalar",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_words(name):
    make, word = BAD[name]
    with pytest.raises(ValueError, match=word):
        make()


def test_frozen_model_has_no_gradient():
    gradient = eqx.filter_grad(lambda m: freeze(m)(jnp.ones(1)))(bell())
    assert float(gradient.a) == 0.0


def test_generator_start_is_the_base():

    xs = GeneratorStart(standard_normal(2))(KEY, jnp.zeros((4, 2)), 500)
    assert xs.shape == (500, 2)
    assert float(jnp.std(xs)) == pytest.approx(1.0, rel=0.1)
