"""The watchdog on synthetic traces: every known failure is called in time, no good run is."""

import dataclasses
import json

import numpy as np
import pytest

from energax.runtime.alarms import Alarm, Watchdog
from energax.runtime.limits import Memory, Settings
from energax.runtime.rules import RULES

STEPS = 2000
ONSET = 800


def healthy(seed: int, steps: int = STEPS, *, kind: str = "pcd") -> dict[str, np.ndarray]:
    """Metrics of a run that goes well, with the noise and the drifts that real ones show."""
    rng = np.random.default_rng(seed)
    t = np.arange(steps) / steps
    settle = np.exp(-8 * t)
    gradient = (0.05 + rng.uniform(0.3, 3) * settle + rng.uniform(0, 2) * t) * np.exp(rng.normal(0, 0.6, steps))
    trace = {"rejected": np.zeros(steps), "grad_norm": gradient}
    if kind == "dsm":
        loss = (1 + 10 * settle) * np.exp(rng.normal(0, 0.2, steps))
        return {**trace, "loss": loss, "score_norm": np.sqrt(loss)}
    gap = rng.normal(0, rng.uniform(0.02, 0.4), steps) - rng.uniform(0, 3) * (1 - settle)
    rough = rng.uniform(20, 300)  # the energy sharpens, adaptation follows
    size = rng.choice([0.5, 0.1, 0.01]) * (1 + (rough**-0.5 - 1) * (1 - settle)) * np.exp(rng.normal(0, 0.01, steps))
    acceptance = np.clip(rng.normal(0.75, 0.05, steps), 0, 1)
    if kind == "fixed":
        size = np.full(steps, 0.01)
        acceptance = np.clip(0.9 + 0.0995 * np.exp(-60 * t) + rng.normal(0, 0.004, steps), 0, 0.99999)
    if kind == "climbing":  # starts far too small: nearly all is accepted while the step size grows by 1 % a step
        size = np.minimum(0.001 * 1.0125 ** np.arange(steps), 0.3) * np.exp(rng.normal(0, 1e-4, steps))
        acceptance = np.where(size < 0.28, np.clip(1 - 0.25 * (size / 0.3) ** 1.5, 0, 0.999999), acceptance)
    if kind == "ula":
        size, acceptance = np.full(steps, 0.001), np.ones(steps)
    radius = np.exp(rng.normal(0.1, 0.1, steps))
    if kind == "nce":  # a density that covers the data, told in batches
        return {**trace, "loss": 0.5 + settle, "noise_ess": np.clip(rng.normal(0.16, 0.04, steps), 0.002, 1)}
    if kind == "jarzynski":  # falls while the model runs, comes back by resampling; dips for some steps
        dip = np.where(np.arange(steps) % 200 < 30, 0.1, 1.0)
        trace |= {"ess_audit": np.clip(rng.uniform(0.4, 1.0, steps), 0, 1) * dip}
        trace |= {"self_influence": rng.normal(0, 0.3, steps)}
    return {
        **trace,
        "loss": gap,
        "gap": gap,
        "energy_data": 30 - 25 * t + rng.normal(0, 0.3, steps),
        "energy_model": 30 - 25 * t - gap,
        "acceptance": acceptance,
        "step_size": size,
        "temperature": np.ones(steps),
        "walker_radius": radius,
        "evicted": np.zeros(steps),
        "divergent": np.where(rng.uniform(size=steps) < 0.01, 0.01, 0.0),
    }


GOOD = [(kind, seed) for kind in ("pcd", "fixed", "climbing", "ula", "dsm", "jarzynski", "nce") for seed in range(6)]


@pytest.mark.parametrize(("kind", "seed"), GOOD)
def test_silent_on_a_good_run(kind, seed):
    assert Watchdog().look(np.arange(STEPS), healthy(seed, kind=kind)) == []


def test_silent_on_a_long_good_run():
    trace = healthy(0, 20_000)
    dog = Watchdog()
    for start in range(0, 20_000, 50):
        part = slice(start, start + 50)
        assert dog.look(np.arange(start, start + 50), {name: values[part] for name, values in trace.items()}) == []


def _after(trace, name, values):
    out = {key: value.copy() for key, value in trace.items()}
    out[name] = trace.get(name, np.full(STEPS, np.nan)).copy()
    out[name][ONSET:] = values
    return out


def _grow(start: float, end: float, over: int = 150) -> np.ndarray:
    along = np.minimum(np.arange(STEPS - ONSET) / over, 1)
    return start * (end / start) ** along


def stuck(seed):
    trace = _after(healthy(seed), "acceptance", 0.001)
    return _after(trace, "grad_norm", _grow(0.5, 2e5, 400))


def stuck_while_adapting(seed):
    trace = _after(healthy(seed), "acceptance", 0.0)
    return _after(trace, "step_size", trace["step_size"][ONSET] * 0.963 ** np.arange(STEPS - ONSET))


def unstable_ula(seed):
    trace = _after(healthy(seed, kind="ula"), "grad_norm", _grow(0.5, 3e8))
    return _after(trace, "walker_radius", _grow(1, 300))


def _now_and_then(name, value):
    def make(seed):
        trace = healthy(seed)
        values = np.full(STEPS, np.nan)
        values[::100] = np.where(np.arange(0, STEPS, 100) < ONSET, RIGHT[name], value)
        return {**trace, name: values}

    return make


RIGHT = {
    "clone_correlation": 0.1,
    "mode_tv": 0.05,
    "held_out_gap": 1.0,
    "log_z_spread": 0.2,
    "ess_fraction": 0.3,
    "rhat": 1.003,
}

# (trace, the alarms of which at least one must be raised); numbers as in the table of known failures
BAD = {
    "walkers stuck after re-initialisation": (stuck, {"acceptance-low", "gradient"}),
    "walkers stuck under adaptation": (stuck_while_adapting, {"acceptance-low", "step-collapse"}),
    "ULA unstable": (unstable_ula, {"gradient", "walkers-away"}),
    "walkers run away": (lambda seed: _after(healthy(seed), "walker_radius", _grow(1, 40)), {"walkers-away"}),
    "cold Langevin": (lambda seed: _after(healthy(seed), "temperature", 0.01), {"temperature"}),
    "hot Langevin": (lambda seed: _after(healthy(seed), "temperature", 2.0), {"temperature"}),
    "mode masses collapse": (_now_and_then("mode_tv", 0.5), {"modes"}),
    "two routes to log Z disagree": (_now_and_then("log_z_spread", 1.7), {"log-z"}),
    "annealing without overlap": (_now_and_then("ess_fraction", 0.02), {"ess"}),
    "weights collapse onto one group of eight": (
        lambda seed: _after(healthy(seed, kind="jarzynski"), "ess_audit", 0.125),
        {"weights"},
    ),
    "noise far away": (lambda seed: _after(healthy(seed, kind="nce"), "noise_ess", 1 / 512), {"noise"}),
    "chains not mixed": (_now_and_then("rhat", 1.2), {"rhat"}),
    "walkers refreshed before they forget": (_now_and_then("clone_correlation", 0.9), {"clones"}),
    "drivers flattered by their model": (
        lambda seed: _after({**healthy(seed), "self_influence": np.full(STEPS, 0.3)}, "self_influence", 4.0),
        {"self-influence"},
    ),
    "over-training": (_now_and_then("held_out_gap", 9.0), {"held-out"}),
    "gap blows up": (lambda seed: _after(healthy(seed), "gap", -_grow(1, 3e5)), {"gap"}),
    "score matching blows up": (lambda seed: _after(healthy(seed, kind="dsm"), "loss", _grow(1, 1e6)), {"gap"}),
    "steps too small": (
        lambda seed: _after(_after(healthy(seed), "acceptance", 0.99995), "step_size", 1e-6),
        {"acceptance-high"},
    ),
    "walkers overflow": (lambda seed: _after(healthy(seed), "evicted", 3.0), {"evicted"}),
    "proposals overflow": (lambda seed: _after(healthy(seed), "divergent", 0.4), {"divergent"}),
    "steps refused": (lambda seed: _after(healthy(seed), "rejected", 1.0), {"rejected-step"}),
    "NaN kept": (lambda seed: _after(healthy(seed), "loss", np.nan), {"non-finite"}),
}


@pytest.mark.parametrize("name", BAD)
def test_known_failures_are_called_within_a_tenth_of_the_run(name):
    make, expected = BAD[name]
    for seed in range(3):
        alarms = Watchdog().look(np.arange(STEPS), make(seed))
        assert alarms, name
        assert {alarm.name for alarm in alarms} & expected
        assert ONSET <= alarms[0].step < ONSET + STEPS // 10
        assert all(alarm.message and alarm.advice for alarm in alarms)


@pytest.mark.parametrize("name", ["walkers stuck after re-initialisation", "ULA unstable", "steps refused", "NaN kept"])
def test_hopeless_runs_are_stopped(name):
    alarms = Watchdog().look(np.arange(STEPS), BAD[name][0](0))
    assert "stop" in {alarm.severity for alarm in alarms}


def test_a_rate_that_blows_up_at_once_is_called_before_there_is_a_median():
    trace = healthy(0)
    trace["grad_norm"][2:6] *= 1e5
    alarms = Watchdog().look(np.arange(STEPS), trace)
    assert [(alarm.name, alarm.step) for alarm in alarms] == [("gradient", 2)]


def test_every_rule_is_covered():
    assert set.union(*(expected for _, expected in BAD.values())) == set(RULES)


def test_chunks_and_resuming_change_nothing():
    trace = stuck(1)
    whole = Watchdog().look(np.arange(STEPS), trace)
    dog, said = Watchdog(), []
    for start in range(0, STEPS, 37):
        steps = np.arange(start, min(start + 37, STEPS))
        said += dog.look(steps, {name: values[steps] for name, values in trace.items()})
        dog = Watchdog.from_dict(json.loads(json.dumps(dog.to_dict())))
    assert said == whole


def test_once_an_episode():
    rejected = np.zeros(400)
    rejected[[10, 12, 30, 200]] = 1
    alarms = Watchdog().look(np.arange(400), {"rejected": rejected})
    assert [alarm.step for alarm in alarms] == [10, 200]


def test_a_flat_young_energy_is_no_lazy_sampler():
    """Measured: CD on rings, MALA with step 0.01, accepts 0.9995 for its first 400 steps and then learns well."""
    young = np.concatenate([np.full(400, 0.9995), np.full(100, 0.998)])
    assert Watchdog().look(np.arange(500), {"acceptance": young}) == []
    assert [a.step for a in Watchdog().look(np.arange(600), {"acceptance": np.full(600, 0.9995)})] == [499]


def test_warn_turns_into_stop_once():
    alarms = Watchdog().look(np.arange(300), {"acceptance": np.zeros(300)})
    assert [(alarm.step, alarm.severity) for alarm in alarms] == [(49, "warn"), (199, "stop")]


def test_phases_are_judged_apart():
    metrics = {"energy/acceptance": np.zeros(100), "generator/acceptance": np.full(100, 0.7), "rejected": np.zeros(100)}
    assert [(alarm.name, alarm.phase) for alarm in Watchdog().look(np.arange(100), metrics)] == [
        ("acceptance-low", "energy")
    ]


def test_a_refused_step_is_told_once_not_by_each_phase():
    bad = np.array([0.0, 1.0])
    metrics = {"rejected": bad, "energy/loss": np.where(bad > 0, np.nan, 1.0), "generator/loss": np.ones(2)}
    assert [alarm.name for alarm in Watchdog().look(np.arange(2), metrics)] == ["rejected-step"]


def test_declared_temperature():
    cold = {"temperature": np.full(5, 0.01)}
    assert [a.severity for a in Watchdog().look(np.arange(5), cold)] == ["warn"]
    assert [a.severity for a in Watchdog(Settings(temperature=1.0)).look(np.arange(5), cold)] == ["stop"]
    assert [a.severity for a in Watchdog(Settings(temperature=0.01)).look(np.arange(5), cold)] == ["warn"]


def test_reset_forgets():
    dog = Watchdog()
    dog.look(np.arange(100), {"acceptance": np.zeros(100)})
    dog.reset()
    assert dog.to_dict() == Watchdog().to_dict()


def test_patience_fits_a_short_run():
    dog = Watchdog(Settings.for_run(300))
    assert dog.look(np.arange(30), {"acceptance": np.zeros(30)})[0].step < 30


def test_the_running_quantile_is_a_quantile():
    rng = np.random.default_rng(0)
    sizes = np.exp(rng.normal(size=2000))
    memory = Memory()
    for size in sizes:
        memory.scale(float(size), 0.5)
    assert memory.level == pytest.approx(np.median(sizes), rel=0.16)  # one bin of 16 a decade is 15 % wide


def test_refusals():
    with pytest.raises(ValueError, match=r"Settings\.patience must be an integer >= 1; got 0"):
        Settings(patience=0)
    with pytest.raises(ValueError, match=r"Settings\.acceptance_low must lie in \(0, 1\); got 1.5"):
        Settings(acceptance_low=1.5)
    with pytest.raises(ValueError, match="one value for each of the steps"):
        Watchdog().look(np.arange(3), {"loss": np.zeros(2)})


def test_an_alarm_is_plain_json():
    alarm = Alarm(1, "gap", "train", "a", "b", "warn")
    assert set(json.loads(json.dumps(dataclasses.asdict(alarm)))) == {
        "step", "name", "phase", "message", "advice", "severity",
    }  # fmt: skip
