"""AIS: unbiased weights with few chains, honest error bars, planted bugs caught, bad numbers told."""

import importlib
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from scipy.stats import binom, norm

from energax.core import AbstractDensity, AbstractEnergy, AbstractSampler, FunctionEnergy, GeometricPath, Tempered
from energax.energies import Gaussian, standard_normal
from energax.free_energy import AISResult, ais, resample
from energax.samplers import MALA, ULA
from free_energy.targets import CHAINS, GROUPS, TARGETS, TEMPERATURES, in_groups, quartic
from judges import REPEATS, judge_error_bars, reach, verdict

AIS = importlib.import_module("energax.free_energy.ais")  # the module, whose name its function shadows
SHORT = jnp.linspace(0.0, 1.0, 5)
LONG = jnp.linspace(0.0, 1.0, TEMPERATURES)
FROZEN = {"betas": LONG, "step_sizes": np.full(TEMPERATURES - 1, 0.1)}


def starts(num, seed=0):
    return jax.random.normal(jax.random.key(seed), (num, 2))


def weights(path, sampler, num, betas, steps=1, seed=1):
    """Log weights of `num` independent chains: what users get, without the pilot; one compile a structure."""
    return AIS._forward(jax.random.key(seed), path, sampler, starts(num), betas, None, steps)[0]


def mala(step_size):
    return MALA(jnp.float32(step_size))


def z_of_mean_weight(log_weights, log_z) -> float:
    """(mean w / Z - 1) in standard errors over independent chains; infinite where the weights overflow."""
    with np.errstate(all="ignore"):
        ratio = np.exp(np.asarray(log_weights, np.float64) - log_z)
        z = (ratio.mean() - 1) / (ratio.std(ddof=1) / np.sqrt(len(ratio)))
    return float(z) if np.isfinite(z) else np.inf


@pytest.mark.parametrize("name", TARGETS)
def test_mean_weight_is_z_with_few_temperatures_and_weak_moves(name):
    # E[w] holds for any length and any mixing; so few temperatures, where mistakes are not averaged away.
    # False-fail rate 6e-7 each.
    target = TARGETS[name]
    log_weights = weights(target.path, mala(0.05), 40000, SHORT, steps=4)
    assert abs(z_of_mean_weight(log_weights, target.log_z)) < reach()
    few = np.exp(np.asarray(log_weights, np.float64).reshape(-1, 4) - target.log_z).mean(axis=1)
    assert abs(few.mean() - 1) < reach() * few.std(ddof=1) / np.sqrt(len(few))  # Zhat of 4 chains: no bias
    assert np.log(few).mean() < -5 * np.log(few).std(ddof=1) / np.sqrt(len(few))  # log Zhat: biased low


class _WalkState(NamedTuple):
    x: Any


class _WalkInfo(NamedTuple):
    energy: Any
    acceptance: Any
    divergent: Any


class Perfect(AbstractSampler):
    """Exact draws of a centred Gaussian, whatever its width, new at every step."""

    def init(self, energy, x):
        return _WalkState(x)

    def refresh(self, energy, state):
        return state

    def step(self, key, energy, state):
        precision = jax.grad(energy)(jnp.ones_like(state.x))
        x = jax.random.normal(key, state.x.shape) / jnp.sqrt(precision)
        return _WalkState(x), _WalkInfo(energy(x), jnp.ones(()), jnp.array(False))


def test_mean_and_variance_of_the_log_weight_are_their_closed_forms():
    """From N(0, 3^2) to N(0, 1) in ten dimensions by 20 perfect moves: unbiased is not enough, the noise must be right.

    False-fail rate 2e-6; a log weight off by 0.05 nats and a variance wrong by 5 % are surely seen with 100,000 chains.
    """
    base = Gaussian(jnp.zeros(10), 3.0)
    path = GeometricPath(base, quartic(0.0, np.full(10, 0.5), np.zeros(10), 0.0))
    xs = 3.0 * jax.random.normal(jax.random.key(3), (100_000, 10))
    log_weights, *_ = AIS._forward(jax.random.key(4), path, Perfect(), xs, jnp.linspace(0.0, 1.0, 21), None, 1)
    log_weights = np.asarray(log_weights, np.float64)
    mean = 5 * np.log(2 * np.pi) - (11.939859348871291 - 10.986122886681098)
    off = log_weights - mean
    verdict("log weight", {"mean": z_of(off, 0.0), "variance": z_of(off**2, 2.224555156956564)})


def z_of(values, exact):
    return (values.mean() - exact) / (values.std(ddof=1) / np.sqrt(len(values)))


BUGS = {
    "sign of work": ("work", lambda work: lambda path, here, there, xs: -work(path, here, there, xs)),
    "moved at a wrong temperature": (
        "advance", lambda advance: lambda key, kernel, energy, chains, num: advance(
            key, kernel, Tempered(energy, 0.7), chains, num)),
    "weights clipped": ("add_work", lambda add: lambda log_w, gained: add(log_w, jnp.clip(gained, -1.0, 1.0))),
    "log Z of the base forgotten": (
        "level", lambda level: lambda path, s, x: level(path, s, x) + jnp.where(s == 0.0, 1.0, 0.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", BUGS)
def test_the_judge_of_mean_weights_catches(name, monkeypatch):
    attribute, plant = BUGS[name]
    target = TARGETS["double well"]
    monkeypatch.setattr(AIS, attribute, plant(getattr(AIS, attribute)))
    run = jax.jit(lambda key, xs: AIS.annealed_weights(key, target.path, mala(0.05), xs, SHORT, None, 4)[0])
    assert abs(z_of_mean_weight(run(jax.random.key(1), starts(40000)), target.log_z)) > 8.0


def test_the_judge_of_mean_weights_catches_an_unadjusted_kernel():
    target = TARGETS["gaussian"]
    log_weights = weights(target.path, ULA(jnp.float32(0.3)), 40000, SHORT, steps=4)
    assert abs(z_of_mean_weight(log_weights, target.log_z)) > 8.0


def test_a_kernel_that_never_moves_costs_effective_chains():
    # Weights without moves are importance weights: unbiased still, so only their spread can tell.
    path, num = TARGETS["double well"].path, GROUPS * CHAINS
    moving, still = (in_groups(weights(path, mala(h), num, LONG), 1, "forward", "base")[0] for h in (0.05, 1e-9))
    assert float(moving.ess) > 3 * float(still.ess)


def test_error_bars_are_honest():
    target = TARGETS["gaussian"]
    runs = in_groups(weights(target.path, mala(0.1), REPEATS * CHAINS, LONG), REPEATS, "forward", "base")
    z = np.array([(float(r.log_z) - target.log_z) / float(r.std_error) for r in runs])
    judge_error_bars(z, bias=0.1)  # Jensen's
    inside = sum(float(r.interval[0]) <= target.log_z <= float(r.interval[1]) for r in runs)
    assert inside >= binom.ppf(1e-6, REPEATS, 0.92)
    widths = np.array([float(r.interval[1] - r.interval[0]) / (2 * 1.96 * float(r.std_error)) for r in runs])
    assert 0.85 < np.median(widths) < 1.15


@pytest.fixture(scope="module")
def tuned() -> AISResult:
    return ais(jax.random.key(0), TARGETS["double well"].path, MALA(1.0), num_chains=256, num_temperatures=60)


def test_the_front_door_finds_log_z(tuned):
    exact = TARGETS["double well"].log_z
    assert abs(float(tuned.log_z) - exact) < reach() * float(tuned.std_error)
    assert float(tuned.std_error) < 0.15
    assert tuned.x.shape == (256, 2)
    np.testing.assert_allclose(tuned.energy, jax.vmap(TARGETS["double well"].energy)(tuned.x), rtol=1e-4, atol=1e-5)
    assert (tuned.direction, tuned.start) == ("forward", "base")
    assert (int(tuned.non_finite), int(tuned.dead)) == (0, 0)
    told = tuned.as_dict("forward 60")
    assert told["num_temperatures"] == 60
    assert told["estimate"] == pytest.approx(exact, abs=0.6)
    assert all(isinstance(value, (int, float, str)) for value in told.values())


def test_the_pilot_frees_the_run_from_the_given_step_size(tuned):
    # A step of 1 is rejected nearly always at the end of this path; the tuned one keeps the acceptance near its target.
    acceptance = np.asarray(tuned.acceptance)
    assert 0.55 < acceptance.mean() < 0.75
    assert acceptance.min() > 0.4
    steps, betas = np.asarray(tuned.step_sizes), np.asarray(tuned.betas)
    assert steps[-1] < 0.3 * steps[0]
    assert betas[0] == 0.0
    assert betas[-1] == 1.0
    assert np.all(np.diff(betas) > 0)


def test_tuned_schedule_equalises_the_work():
    # From scale 1 to scale 0.05: nearly all the work is done near s = 0, where a linear schedule has no temperatures.
    narrow = GeometricPath(standard_normal(2), quartic(0.0, [200.0, 200.0], [0.0, 0.0], 0.0))
    given = {"num_chains": 256, "num_temperatures": 60}
    found = ais(jax.random.key(1), narrow, MALA(1.0), **given)
    linear = ais(jax.random.key(1), narrow, MALA(1.0), schedule="linear", **given)
    exact = np.log(2 * np.pi * 0.05**2)
    assert abs(float(found.log_z) - exact) < reach() * float(found.std_error)
    assert float(found.ess) > 2 * float(linear.ess)
    assert float(found.betas[30]) < 0.2


def test_chain_weights_do_not_depend_on_how_many_chains_there_are():
    path = TARGETS["double well"].path
    few = ais(jax.random.key(3), path, MALA(0.1), num_chains=8, **FROZEN)
    many = ais(jax.random.key(3), path, MALA(0.1), num_chains=64, **FROZEN)
    np.testing.assert_allclose(few.log_weights, many.log_weights[:8], rtol=1e-3, atol=1e-3)
    again = ais(jax.random.key(3), path, MALA(0.1), num_chains=8, **FROZEN)
    np.testing.assert_array_equal(few.log_weights, again.log_weights)
    other = ais(jax.random.key(4), path, MALA(0.1), num_chains=8, **FROZEN)
    assert not np.any(few.log_weights == other.log_weights)


def test_a_constant_added_to_the_energy_moves_log_z_by_minus_it():
    path = TARGETS["double well"].path
    plain = ais(jax.random.key(0), path, MALA(0.1), num_chains=64, **FROZEN)
    shifted = eqx.tree_at(lambda p: p.target.d, path, path.target.d + 7.0)
    moved = ais(jax.random.key(0), shifted, MALA(0.1), num_chains=64, **FROZEN)
    assert float(moved.log_z - plain.log_z) == pytest.approx(-7.0, abs=5e-3)


class _Same(list):
    """A list that equals itself only, so that it may be static."""

    __hash__ = object.__hash__

    def __eq__(self, other):
        return self is other


class Counted(AbstractEnergy):
    """Counts how often it is traced."""

    scale: jax.Array
    traces: list = eqx.field(static=True)

    def __call__(self, x, cond=None):
        self.traces.append(1)
        return 0.5 * self.scale * jnp.sum(x * x)


def test_one_compile():
    traces = _Same()

    def run(key, scale):
        before = len(traces)
        path = GeometricPath(standard_normal(2), Counted(jnp.float32(scale), traces))
        found = ais(jax.random.key(key), path, MALA(0.1 * scale), num_chains=8, **FROZEN)
        return len(traces) - before, found

    (first, _), (second, a), (third, b) = run(0, 1.0), run(1, 2.0), run(2, 3.0)
    assert second == third < first
    assert second <= 2  # the door looks at shapes only
    assert float(a.log_z) != float(b.log_z)


def test_hard_walls_kill_weights_and_leave_the_mean_right():
    wall = FunctionEnergy(lambda x: jnp.where(x[0] > 0.3, 0.5 * jnp.sum(x * x), jnp.inf))
    found = ais(jax.random.key(0), GeometricPath(standard_normal(2), wall), MALA(0.3), num_chains=2048, **FROZEN)
    exact = np.log(2 * np.pi * norm.sf(0.3))
    assert abs(float(found.log_z) - exact) < reach() * float(found.std_error)
    assert int(found.non_finite) == 0
    assert abs(int(found.dead) / 2048 - norm.cdf(0.3)) < reach() * np.sqrt(0.25 / 2048)


def test_a_pilot_that_sees_only_walls_says_so():
    far = FunctionEnergy(lambda x: jnp.where(x[0] > 30.0, 0.5 * jnp.sum(x * x), jnp.inf))
    with pytest.raises(ValueError, match="schedule must not be 'tuned' here"):
        ais(jax.random.key(0), GeometricPath(standard_normal(2), far), MALA(0.3), num_chains=64, num_temperatures=20)


def test_a_nan_energy_is_reported_and_never_averaged_away():
    broken = FunctionEnergy(lambda x: jnp.where(x[0] > 2.0, jnp.nan, 0.5 * jnp.sum(x * x)))
    found = ais(jax.random.key(0), GeometricPath(standard_normal(2), broken), MALA(0.3), num_chains=256, **FROZEN)
    assert int(found.non_finite) > 0
    assert np.isnan(float(found.log_z))
    with pytest.raises(ValueError, match="finite weights"):
        resample(jax.random.key(0), found, 5)


class Pair(AbstractDensity):
    """Samples are dictionaries."""

    def sample(self, key):
        one, two = jax.random.split(key)
        return {"a": jax.random.normal(one, (2,)), "b": jax.random.normal(two, ())}

    def log_prob(self, x):
        return -0.5 * (jnp.sum(x["a"] ** 2) + x["b"] ** 2) - 1.5 * jnp.log(2 * jnp.float32(jnp.pi))


class Walk(AbstractSampler):
    """Random walk Metropolis without a `step_size`: the pilot leaves it alone."""

    def init(self, energy, x):
        return _WalkState(x)

    def refresh(self, energy, state):
        return state

    def step(self, key, energy, state):
        move, decide = jax.random.split(key)
        keys = jax.random.split(move, 2)
        new = {k: v + 0.7 * jax.random.normal(i, v.shape) for i, (k, v) in zip(keys, state.x.items(), strict=True)}
        gain = energy(state.x) - energy(new)
        take = jnp.log(jax.random.uniform(decide)) < gain
        x = jax.tree.map(lambda a, b: jnp.where(take, a, b), new, state.x)
        return _WalkState(x), _WalkInfo(energy(x), jnp.exp(jnp.minimum(gain, 0.0)), jnp.array(False))


def test_pytree_samples_and_a_kernel_of_ones_own():
    target = FunctionEnergy(lambda x: 2.0 * jnp.sum((x["a"] - 0.5) ** 2) + 0.5 * (x["b"] / 2.0) ** 2)
    found = ais(jax.random.key(0), GeometricPath(Pair(), target), Walk(), num_chains=512, num_temperatures=40)
    exact = np.log(2 * np.pi / 4) + 0.5 * np.log(2 * np.pi * 4)
    assert abs(float(found.log_z) - exact) < reach() * float(found.std_error)
    assert found.step_sizes is None
    assert found.x["a"].shape == (512, 2)
    assert resample(jax.random.key(1), found, 100)["b"].shape == (100,)


def test_resampled_positions_are_samples_of_the_target(tuned):
    x = np.asarray(resample(jax.random.key(2), tuned, 5000))
    # P(right) = 0.2824346 by quadrature; the error is that of the effective chains.
    assert abs(float((x[:, 0] > 0).mean()) - 0.2824346) < reach() * np.sqrt(0.2824 * 0.7176 / float(tuned.ess))


@pytest.fixture
def no_shape_hook():
    """What a user sees: outside the tests nothing checks types but the doors."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


PATH = TARGETS["gaussian"].path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"key": 0}, "one typed key"),
        ({"path": PATH.target}, "path must be an AbstractPath"),
        ({"sampler": "mala"}, "sampler must be an AbstractSampler"),
        ({"sampler": ULA(0.1)}, "exactly invariant"),
        ({"num_chains": 1}, "num_chains must be an integer >= 2"),
        ({"num_chains": 16.0}, "num_chains must be"),
        ({"num_temperatures": 1}, "num_temperatures must be"),
        ({"steps_per_temperature": 0}, "steps_per_temperature"),
        ({"target_acceptance": 1.0}, "target_acceptance must lie in"),
        ({"pilot_chains": 3}, "pilot_chains"),
        ({"pilot_chains": 0}, "must not be 'tuned' with pilot_chains=0"),
        ({"schedule": "cosine"}, "schedule must be one of"),
        ({"num_temperatures": None, "betas": np.array([0.0, 0.5, 0.4, 1.0])}, "increase strictly"),
        ({"num_temperatures": None, "betas": np.array([0.1, 1.0])}, "from 0 to 1"),
        ({"num_temperatures": None, "betas": np.array([0.0, np.nan, 1.0])}, "increase strictly"),
        ({"num_temperatures": None, "betas": np.array([[0.0, 1.0]])}, "vector"),
        ({"betas": np.linspace(0, 1, 5)}, "num_temperatures must be 5"),
        ({"step_sizes": np.full(3, 0.1)}, "shape .8,."),
        ({"step_sizes": np.full(8, -0.1)}, "step_sizes must be > 0"),
        ({"path": GeometricPath(standard_normal(3), PATH.target)}, "must accept one sample"),
        ({"path": GeometricPath(standard_normal(3), FunctionEnergy(lambda x: x))}, "scalar"),
    ],
)
def test_refuses(changes, words, no_shape_hook):
    given = {"key": jax.random.key(0), "path": PATH, "sampler": MALA(0.1), "num_chains": 16, "num_temperatures": 9}
    given |= changes
    with pytest.raises(ValueError, match=words):
        ais(given.pop("key"), given.pop("path"), given.pop("sampler"), **given)
