"""For every judge, a sound kernel that passes and planted bugs that it catches."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from beartype import beartype
from jaxtyping import jaxtyped
from scipy import stats

import judges
from energax.core import AbstractSampler, Chains
from energax.numerics import add_scaled, dot, normal_like, squared_norm, uniform, where
from energax.samplers import HMC, MALA, ULA, ReplayBuffer, one_step
from energax.samplers.mala import MALAInfo, MALAState
from judges import (
    EVERY_TARGET,
    REPEATS,
    TARGETS,
    bounded,
    judge_acceptance,
    judge_error_bars,
    judge_follows,
    judge_independence,
    judge_invariance,
    judge_moments,
    judge_movement,
    judge_slots,
    refuses,
    target,
    verdict,
)


class BrokenMALA(AbstractSampler):
    """MALA with one bug, by name; `none` is sound."""

    step_size: float
    bug: str = eqx.field(static=True)

    def init(self, energy, x):
        sound = energy.base if self.bug == "forgotten beta" else energy
        return MALAState(x, *jax.value_and_grad(sound)(x))

    def refresh(self, energy, state):
        return state if self.bug == "stale cache" else self.init(energy, state.x)

    def step(self, key, energy, state):
        noise, level = normal_like(key, state.x), uniform(key)
        if self.bug == "one word for both":  # the test reuses the proposal's noise
            level = jax.scipy.stats.norm.cdf(noise[0])
        h = self.step_size
        sign = 1.0 if self.bug == "wrong sign" else -1.0
        scale = jnp.sqrt(h) if self.bug == "missing root 2" else jnp.sqrt(2 * h)
        new = self.init(energy, add_scaled(add_scaled(state.x, sign * h, state.gradient), scale, noise))
        both = add_scaled(state.gradient, 1.0, new.gradient)
        ratio = jnp.sqrt(0.5 * h) * dot(noise, both) - 0.25 * h * squared_norm(both)
        if self.bug == "dropped proposal ratio":
            ratio = 0.0 * ratio
        log_accept = state.energy - new.energy + ratio
        if self.bug == "inverted ratio":
            log_accept = -log_accept
        if self.bug == "no test":
            log_accept = jnp.zeros_like(log_accept)
        accept = jnp.exp(jnp.minimum(log_accept, 0.0))
        take = level < accept
        new = where(take, new, state)
        if self.bug == "stale after rejection":  # the proposal's gradient is kept though it was rejected
            proposal = self.init(energy, add_scaled(add_scaled(state.x, -h, state.gradient), scale, noise))
            new = new._replace(gradient=proposal.gradient)
        return new, MALAInfo(new.energy, accept, ~jnp.isfinite(accept))


class BrokenULA(ULA):
    """ULA whose noise has lost a root."""

    factor: float = eqx.field(default=1.0, kw_only=True)

    @property
    def noise(self):
        return self.factor * jnp.sqrt(2 * self.step_size)


class TeleportingHMC(AbstractSampler):
    """A peer's fault: what is not finite becomes 0, is accepted, and reported as fine."""

    inner: HMC

    def init(self, energy, x):
        return self.inner.init(energy, x)

    def refresh(self, energy, state):
        return self.inner.refresh(energy, state)

    def step(self, key, energy, state):
        new, info = self.inner.step(key, energy, state)
        lost = info.divergent
        home = self.inner.init(energy, jnp.where(lost, 0.0, new.x))
        return where(lost, home, new), info


class Still(AbstractSampler):
    """Leaves everything invariant by never moving."""

    step_size: float

    def init(self, energy, x):
        return MALA(self.step_size).init(energy, x)

    def refresh(self, energy, state):
        return self.init(energy, state.x)

    def step(self, key, energy, state):
        one = jnp.ones_like(state.energy)
        return state, MALAInfo(state.energy, one, one < 0)


@eqx.filter_jit
def shared_noise(key, sampler, energy, chains, num_steps):
    """A runner that hands one key to all chains."""
    num = chains.states.x.shape[0]
    states = chains.states
    keys = jax.vmap(lambda _: key)(jnp.arange(num))
    for index in range(min(num_steps, 4)):
        states, info = one_step(sampler, keys, index, energy, states)
    return Chains(states), info


CAUGHT_BY_INVARIANCE = [
    "forgotten beta",
    "inverted ratio",
    "no test",
    "missing root 2",
    "dropped proposal ratio",
    "wrong sign",
    "one word for both",
    "stale after rejection",
]


def test_invariance_passes_the_sound_copy():
    truth = TARGETS["tilted well, beta 2"]()
    judge_invariance(BrokenMALA(0.15, "none"), truth)
    judge_movement(BrokenMALA(0.15, "none"), truth)


@pytest.mark.parametrize("bug", CAUGHT_BY_INVARIANCE)
def test_invariance_catches(bug):
    truth = TARGETS["tilted well, beta 2"]()
    with pytest.raises(AssertionError, match="judge_invariance"):
        judge_invariance(BrokenMALA(0.15, bug), truth)


def test_invariance_catches_one_noise_for_all_chains():
    with pytest.raises(AssertionError, match="judge_invariance"):
        judge_invariance(MALA(0.15), TARGETS["tilted well, beta 2"](), runner=shared_noise)


def test_movement_catches_the_kernel_that_stands_still():
    truth = TARGETS["tilted well, beta 2"]()
    judge_invariance(Still(0.1), truth)
    with pytest.raises(AssertionError, match="judge_movement"):
        judge_movement(Still(0.1), truth)


def moments_of_ula(sampler):
    """N(0, 1) under ULA with h = 0.5 has variance 1 / (1 - h / 2) = 4/3."""
    exact = {"x": (lambda x: x[0], 0.0), "x^2": (lambda x: x[0] ** 2, 4 / 3), "x^3": (lambda x: x[0] ** 3, 0.0)}
    return judge_moments(sampler, lambda x: 0.5 * jnp.sum(x**2), exact, jnp.zeros((2000, 1)))


def test_moments_pass_ula_and_catch_a_lost_root():
    moments_of_ula(BrokenULA(0.5))
    with pytest.raises(AssertionError, match="x\\^2"):
        moments_of_ula(BrokenULA(0.5, factor=2**-0.5))


def test_moments_catch_teleporting():
    variance = target(bounded, -0.999999, 0.999999).mean(lambda x: x[0] ** 2)
    exact = {"x^2": (lambda x: x[0] ** 2, variance)}
    with pytest.raises(AssertionError, match="x\\^2"):
        judge_moments(TeleportingHMC(HMC(0.3, 5)), bounded, exact, jnp.zeros((1000, 1)))


def test_follows_catches_a_stale_cache():
    judge_follows(BrokenMALA(0.5, "none"))
    with pytest.raises(AssertionError, match="moved to 5"):
        judge_follows(BrokenMALA(0.5, "stale cache"), num_steps=20)


def test_acceptance_catches_a_wrong_ratio():
    judge_acceptance(BrokenMALA(0.5, "none"), 0.920833152)
    with pytest.raises(AssertionError, match="acceptance"):
        judge_acceptance(BrokenMALA(0.5, "dropped proposal ratio"), 0.920833152)


def test_independence_catches_one_noise_for_all_chains():
    judge_independence(MALA(0.5))
    with pytest.raises(AssertionError, match="judge_independence"):
        judge_independence(MALA(0.5), runner=shared_noise)


def test_slots_catch_a_buffer_written_in_arrival_order():
    buffer = ReplayBuffer.create(jnp.stack([jnp.arange(8.0), jnp.zeros(8)], 1))

    def draw(buffer, key):
        return buffer.draw(key, 3)

    judge_slots(draw, lambda b, slots, xs, ages: b.write(slots, xs, ages)[0], buffer)
    with pytest.raises(AssertionError, match="judge_slots"):
        judge_slots(draw, lambda b, slots, xs, ages: b.write(jnp.arange(3), xs, ages)[0], buffer)


def scores(seed=0, draws=16, repeats=REPEATS):
    """(mean - truth) / error bar of independent draws: Student's t."""
    x = np.random.default_rng(seed).standard_normal((repeats, draws))
    return x.mean(1) / (x.std(1, ddof=1) / np.sqrt(draws))


def test_error_bars_are_judged_with_the_freedom_that_they_have():
    judge_error_bars(scores(), freedom=15)
    judge_error_bars(scores(draws=400))
    for planted, words in ((0.7, "scatter"), (1.45, "scatter"), (lambda z: z + 0.5, "mean"), (np.nan, "finite")):
        wrong = planted(scores(draws=400)) if callable(planted) else planted * scores(draws=400)
        with pytest.raises(AssertionError, match=f"judge_error_bars: .*{words}"):
            judge_error_bars(wrong)
    judge_error_bars(scores(draws=400) + 0.3, bias=0.3)


def test_the_false_fail_rates_are_what_they_say(monkeypatch):
    """At a rate of 1 % the judges fail right answers in 1 % of runs: 2,000 runs, itself judged at 1e-6."""
    monkeypatch.setattr(judges, "SPENT", [])
    rng, runs, rate = np.random.default_rng(1), 2000, 0.01
    limits = {num: stats.norm.isf(0.5 * rate / num) for num in (1, 14)}
    for num, limit in limits.items():
        assert judges.reach(num, rate=rate) == pytest.approx(limit)
        z = rng.standard_normal((runs, 200, num)).mean(1) * np.sqrt(200)
        failed = int((np.abs(z).max(1) > limit).sum())
        assert stats.binom.ppf(5e-7, runs, 0.95 * rate) <= failed <= stats.binom.isf(5e-7, runs, rate)
    assert judges.SPENT == [rate, rate]
    with pytest.raises(AssertionError, match="standard errors off"):
        verdict("judge", {"x": 5.1, "y": 0.0})
    verdict("judge", {"x": 5.0, "y": 0.0})
    assert len(judges.SPENT) == 4
    assert judges.seen(14) == pytest.approx(10.2, abs=0.1)


def test_a_valley_is_drawn_exactly():
    """Its sampler against its quadrature, which is against the moments by hand."""
    truth = EVERY_TARGET["bent valley, beta 2"]()
    x = np.asarray(truth.sample(3, 100_000), np.float64)
    square = truth.floor.mean(lambda x: x[0] ** 2)
    assert truth.mean(lambda x: x[1]) == pytest.approx(0.8 * square, rel=1e-5)
    fourth = truth.floor.mean(lambda x: x[0] ** 4)
    assert truth.mean(lambda x: x[1] ** 2) == pytest.approx(0.64 * fourth + 1 / 16, rel=1e-5)
    verdict(
        "valley",
        {
            name: judges._z(np.asarray(jax.vmap(f)(x.astype(np.float32)), np.float64), truth.mean(f))
            for name, f in truth.statistics.items()
        },
    )


def test_a_verdict_never_passes_what_is_not_a_number():
    with pytest.raises(AssertionError, match="nan"):
        verdict("judge", {"x": float("nan"), "y": 9.0})


def test_a_sentence_that_only_the_hook_says_is_caught():
    @jaxtyped(typechecker=beartype)
    def silent(num: int):
        return num

    with pytest.raises(TypeError):
        silent("two")
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"), refuses("num must be an integer"):
        silent("two")
    with pytest.raises(TypeError):
        silent("two")
