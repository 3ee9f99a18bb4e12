"""Kernels of blackjax: invariance, correlated and funnel-shaped targets, one trace, the door, and planted bugs."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import AbstractEnergy, FunctionEnergy
from energax.energies import Funnel
from energax.samplers import (
    MALA,
    Blackjax,
    adjusted_mclmc,
    advance,
    elliptical_slice,
    init_chains,
    moments,
    multinomial_hmc,
    nuts,
    slice_sampling,
    window_warm_up,
)
from judges import TARGETS, _z, bounded, judge_invariance, judge_movement, refuses, target, verdict

SHARED = jnp.array([[1.0, 0.9], [0.9, 1.0]])
TILT = FunctionEnergy(lambda x: 0.5 * x @ jnp.linalg.inv(SHARED) @ x + 0.3 * jnp.sum(jnp.sin(x)))
KERNELS = {
    "nuts": lambda: nuts(0.4, jnp.array([1.0, 2.0]), max_depth=5),
    "multinomial hmc, full mass": lambda: multinomial_hmc(0.5, 4, SHARED),
    "adjusted mclmc": lambda: adjusted_mclmc(0.5, 4),
    "slice": lambda: slice_sampling(1.0),
    "elliptical slice": lambda: elliptical_slice(jnp.array([0.5, 0.0]), SHARED + 0.5 * jnp.eye(2)),
    "elliptical slice, variances": lambda: elliptical_slice(jnp.array([0.5, 0.0]), jnp.ones(2)),
}
STATISTICS = {
    "x": lambda x: x[:, 0],
    "y": lambda x: x[:, 1],
    "x^2": lambda x: x[:, 0] ** 2,
    "xy": lambda x: x[:, 0] * x[:, 1],
    "y^3": lambda x: x[:, 1] ** 3,
    "quadrant": lambda x: ((x[:, 0] > 0) & (x[:, 1] > 0)).astype(float),
}


def exact_draws(seed, num):
    """Draws of the tilted, correlated target by rejection from its Gaussian: exp(-0.3 (sin x + sin y)) <= exp(0.6)."""
    rng = np.random.default_rng(seed)
    x = rng.multivariate_normal(np.zeros(2), np.asarray(SHARED, float), 4 * num)
    kept = x[rng.random(len(x)) < np.exp(-0.3 * np.sin(x).sum(1) - 0.6)]
    return kept[:num]


def judge_correlated(kernel, num_chains=20_000, num_steps=3):
    start = exact_draws(0, num_chains)
    chains = init_chains(kernel, TILT, jnp.asarray(start, jnp.float32))
    chains, info = advance(jax.random.key(1), kernel, TILT, chains, num_steps)
    end, truth = np.asarray(chains.states.x, float), exact_draws(1, 400_000)
    scores = {}
    for name, statistic in STATISTICS.items():
        scores[name] = _z(statistic(end), statistic(truth).mean())
        scores[f"{name}, paired"] = _z(statistic(end) - statistic(start), 0.0)
    verdict("judge_correlated", scores)
    assert np.mean((end - start) ** 2) > 0.05
    assert np.all((info.acceptance >= 0.0) & (info.acceptance <= 1.0 + 1e-6))
    return info


@pytest.mark.parametrize("name", KERNELS)
def test_a_correlated_and_tilted_gaussian_is_left_invariant(name):
    info = judge_correlated(KERNELS[name]())
    assert not bool(info.divergent.any())
    assert int(info.num_steps.min()) >= 1


@pytest.mark.parametrize("truth", TARGETS)
def test_nuts_leaves_skewed_and_tempered_targets_invariant(truth):
    judge_invariance(nuts(0.3, max_depth=4), TARGETS[truth]())


def of_blackjax(num_leapfrog):
    """blackjax's own multinomial HMC, whose trajectory only goes ahead."""
    import blackjax

    kernel = blackjax.multinomial_hmc.build_kernel()
    return blackjax.hmc.init, lambda *state, **p: kernel(*state, **p, num_integration_steps=num_leapfrog)


def test_the_trajectory_of_multinomial_hmc_reaches_to_both_sides():
    """At a step so long that the points of a trajectory weigh differently, one that only goes ahead is biased."""
    truth, sound = TARGETS["tilted well, beta 2"](), multinomial_hmc(0.35, 3)
    judge_invariance(sound, truth)
    with pytest.raises(AssertionError, match="standard errors off"):
        judge_invariance(Blackjax(of_blackjax, sound.parameters, sound.options), truth)


def test_nuts_moves():
    judge_movement(nuts(0.3, max_depth=4), TARGETS["tilted well, beta 2"]())


@pytest.mark.parametrize("kernel", [nuts(0.3, max_depth=4), slice_sampling(0.5)], ids=["nuts", "slice"])
def test_a_bounded_support_is_respected(kernel):
    truth = target(bounded, -0.999999, 0.999999)
    start = truth.sample(1, 5000)
    chains, _ = advance(jax.random.key(0), kernel, bounded, init_chains(kernel, bounded, start), 10)
    x = np.asarray(chains.states.x[:, 0], float)
    exact = truth.mean(lambda x: x[0] ** 2)
    verdict("bounded support", {"x": _z(x, 0.0), "x^2": _z(x**2, exact), "acceptance": 0.0})
    assert np.all(np.isfinite(chains.states.energy))


def test_a_wrong_sign_and_a_wrong_slice_are_caught(monkeypatch):
    class Upside(Blackjax):
        def step(self, key, energy, state):
            return Blackjax.step(self, key, FunctionEnergy(lambda x: 0.8 * energy(x)), state)

    plain = multinomial_hmc(0.5, 4)
    assert plain.exact
    assert not Blackjax(plain.build, plain.parameters, plain.options, adjusted=False).exact
    with pytest.raises(AssertionError, match="standard errors off"):
        judge_correlated(Upside(plain.build, plain.parameters, plain.options))
    module = sys.modules["energax.samplers.blackjax"]
    monkeypatch.setattr(module, "_log_gaussian", lambda x, mean, covariance: jnp.zeros(()))
    with pytest.raises(AssertionError, match="standard errors off"):
        judge_correlated(KERNELS["elliptical slice, variances"](), num_chains=19_000)  # compiled anew


@pytest.mark.slow
def test_the_neck_of_the_funnel():
    """Neal's v ~ N(0, 9), from one point in the mouth, within 4 standard errors; MALA of a like step is caught."""
    funnel = Funnel(3)
    start = jnp.tile(jnp.array([3.0, 0.1, 0.1]), (200, 1))

    def scores(kernel, num_steps, burn_in):
        chains = init_chains(kernel, funnel, start)
        _, found = moments(jax.random.key(0), kernel, funnel, chains, num_steps, burn_in=burn_in)
        mean, square = np.asarray(found.chain_mean["x"][:, 0], float), np.asarray(found.chain_mean["x^2"][:, 0], float)
        return {"v": _z(mean, 0.0), "v^2": _z(square, 9.0)}

    verdict("funnel", scores(nuts(0.15, max_depth=8), 300, 100))
    with pytest.raises(AssertionError, match="standard errors off"):
        verdict("funnel", scores(MALA(0.15**2), 300, 100))


class Traced(AbstractEnergy):
    """Counts how often it is traced."""

    scale: jax.Array
    times = [0]

    def __call__(self, x, cond=None):
        self.times[0] += 1
        return 0.5 * jnp.sum((x["a"] * self.scale) ** 2) + 0.5 * jnp.sum(x["b"] ** 2 - (0.0 if cond is None else cond))


@pytest.mark.parametrize("make", [lambda h: nuts(h, jnp.full(3, h), max_depth=3), lambda h: adjusted_mclmc(h, 3)])
def test_a_second_run_of_the_same_shapes_traces_nothing(make):
    xs, cond = {"a": jnp.zeros((4, 1)), "b": jnp.ones((4, 2))}, jnp.ones((4, 1))

    def traces(turn, h):
        before, kernel, energy = Traced.times[0], make(h), Traced(jnp.array(h))
        chains = init_chains(kernel, energy, xs, cond)
        advance(jax.random.key(turn), kernel, energy, chains, 2, cond)
        return Traced.times[0] - before

    assert traces(0, 0.1) > 2
    assert traces(1, 0.2) == traces(2, 0.3) == 1  # the door asks for the shape of the energy, which compiles nothing


def test_windows_find_the_scales_and_freeze():
    scale = jnp.array([0.05, 1.0, 20.0])
    calls = [0]

    class Wide(AbstractEnergy):
        scale: jax.Array

        def __call__(self, x, cond=None):
            calls[0] += 1
            return 0.5 * jnp.sum((x / self.scale) ** 2)

    kernel, energy = nuts(0.1, max_depth=6), Wide(scale)
    chains = init_chains(kernel, energy, jax.random.normal(jax.random.key(1), (8, 3)) * scale[None])
    frozen, warm = window_warm_up(jax.random.key(0), kernel, energy, chains, 400)
    found = np.asarray(frozen.parameters["inverse_mass_matrix"]) / np.asarray(scale) ** 2
    assert found.max() / found.min() < 2.0
    _, info = advance(jax.random.key(2), frozen, energy, warm, 50)
    assert abs(float(info.acceptance.mean()) - 0.8) < 0.1
    assert float(info.num_steps.mean()) < 16  # 400 scales apart, and yet a short tree
    before = calls[0]
    again, _ = window_warm_up(jax.random.key(5), nuts(0.2, max_depth=6), Wide(scale * 2), chains, 400)
    assert calls[0] == before
    assert type(again) is Blackjax
    assert np.all(np.asarray(again.parameters["inverse_mass_matrix"]) > 0)


def test_blackjax_is_imported_when_asked_for_and_named_when_missing(monkeypatch):
    program = (
        "import sys, energax.samplers, energax; assert not any(m.split('.')[0] == 'blackjax' for m in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    monkeypatch.setitem(sys.modules, "blackjax", None)
    for call in (lambda: nuts(0.1), lambda: slice_sampling(1.0), lambda: elliptical_slice(jnp.zeros(1), jnp.ones(1))):
        with pytest.raises(ImportError, match=r"needs blackjax: pip install 'energax\[nuts\]'\.$"):
            call()


def test_refusals():
    chains = init_chains(MALA(0.1), FunctionEnergy(lambda x: jnp.sum(x**2)), jnp.zeros((2, 2)))
    for call, message in (
        (lambda: nuts(0.0), "Blackjax.step_size must be > 0; got 0.0"),
        (lambda: nuts(0.1, max_depth=0), "nuts.max_depth must be an integer >= 1; got 0"),
        (lambda: nuts(0.1, jnp.array([1.0, -1.0])), "nuts.inverse_mass must be > 0; got an array"),
        (
            lambda: nuts(0.1, jnp.ones((2, 3))),
            r"nuts.inverse_mass must be a vector or a square matrix; got shape \(2",
        ),
        (lambda: multinomial_hmc(0.1, 0), "multinomial_hmc.num_leapfrog must be an integer >= 1; got 0"),
        (lambda: slice_sampling(-1.0), "slice_sampling.width must be > 0; got -1.0"),
        (lambda: elliptical_slice(jnp.zeros(3), jnp.ones(2)), r"covariance must be \[d\] or \[d, d\] beside a mean"),
        (lambda: Blackjax(3), "Blackjax.build must be a function of options"),
        (
            lambda: window_warm_up(jax.random.key(0), slice_sampling(1.0), lambda x: jnp.sum(x), chains, 100),
            "window_warm_up: sampler must have a field step_size; got Blackjax",
        ),
    ):
        with refuses(message):
            call()
