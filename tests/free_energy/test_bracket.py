"""Reverse runs and brackets: the exact log Z lies inside, at the stated rate, on every target."""

import importlib

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from scipy.stats import binom

from energax.free_energy import bracket, resample, reverse_ais
from energax.samplers import MALA, ULA
from free_energy.targets import CHAINS, GROUPS, TARGETS, TEMPERATURES, in_groups
from judges import reach

AIS = importlib.import_module("energax.free_energy.ais")  # the modules, whose names their functions shadow
REVERSE = importlib.import_module("energax.free_energy.reverse_ais")
BETAS = jnp.linspace(0.0, 1.0, TEMPERATURES)


def both_ways(target, flip=1.0):
    """48 independent forward and reverse runs of 64 chains each, flat enough in temperatures to leave a gap."""
    base = jax.random.normal(jax.random.key(0), (GROUPS * CHAINS, 2))
    exact = jnp.asarray(target.draw(np.random.default_rng(1), GROUPS * CHAINS), jnp.float32)
    sampler = MALA(jnp.float32(0.06))
    up = AIS._forward(jax.random.key(2), target.path, sampler, base, BETAS, None, 1)[0]
    down = REVERSE._reverse(jax.random.key(3), target.path, sampler, exact, BETAS, None, 1)[0]
    return in_groups(flip * up, GROUPS, "forward", "base"), in_groups(down, GROUPS, "reverse", "exact")


def num_held(target, forward, reverse) -> int:
    """How many brackets stand in order and hold the exact log Z."""
    found = [bracket(up, down) for up, down in zip(forward, reverse, strict=True)]
    return sum(one.contains(target.log_z) and not one.crossed for one in found)


@pytest.fixture(scope="module", params=list(TARGETS))
def runs(request):
    return TARGETS[request.param], *both_ways(TARGETS[request.param])


def test_bracket_contains_the_exact_log_z(runs):
    target, forward, reverse = runs
    # Each side leaves out 2.5 % if its error is honest: at least 95 % inside. False-fail rate 1e-6 each target.
    assert num_held(target, forward, reverse) >= binom.ppf(1e-6, GROUPS, 0.95)


def test_estimates_lie_on_their_sides_on_average(runs):
    target, forward, reverse = runs
    low = np.array([float(run.log_z) for run in forward]) - target.log_z
    high = np.array([float(run.log_z) for run in reverse]) - target.log_z
    assert low.mean() < 3 * low.std(ddof=1) / np.sqrt(GROUPS)
    assert high.mean() > -3 * high.std(ddof=1) / np.sqrt(GROUPS)
    every = np.array([float(jnp.mean(run.log_weights)) for run in forward]) - target.log_z
    assert every.mean() < -reach() * every.std(ddof=1) / np.sqrt(GROUPS)  # E log w < log Z, strictly


def test_reverse_mean_weight_is_one_over_z(runs):
    target, _, reverse = runs
    ratio = np.exp(np.concatenate([np.asarray(run.log_weights, np.float64) for run in reverse]) + target.log_z)
    assert abs(ratio.mean() - 1) < reach() * ratio.std(ddof=1) / np.sqrt(len(ratio))


def test_the_coverage_judge_catches_a_wrong_sign():
    target = TARGETS["double well"]
    forward, reverse = both_ways(target, flip=-1.0)
    assert num_held(target, forward, reverse) < binom.ppf(1e-6, GROUPS, 0.95)


def test_reverse_from_the_front_door_joins_a_forward_run():
    target = TARGETS["gaussian"]
    xs = jnp.asarray(target.draw(np.random.default_rng(0), 256), jnp.float32)
    found = reverse_ais(jax.random.key(0), target.path, MALA(0.5), xs, start="exact", num_temperatures=60)
    assert abs(float(found.log_z) - target.log_z) < reach() * float(found.std_error)
    np.testing.assert_allclose(found.energy, jax.vmap(target.energy)(xs), rtol=1e-5)
    assert found.betas.shape == (60,)
    with pytest.raises(ValueError, match="forward run"):
        resample(jax.random.key(0), found, 3)


@pytest.fixture
def no_shape_hook():
    """What a user sees: outside the tests nothing checks types but the doors."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def made(log_weights, direction="forward", start=None, length=10):
    start = start or ("base" if direction == "forward" else "exact")
    return in_groups(jnp.asarray(log_weights, jnp.float32), 1, direction, start, length)[0]


def test_verdicts():
    even = np.random.default_rng(0).normal(size=64) * 0.1
    quiet = bracket(made(even), made(even, "reverse"))
    assert quiet.agree
    assert quiet.strict
    assert quiet.verdict == ()
    assert quiet.low < 0.0 < quiet.high
    assert quiet.midpoint == pytest.approx(0.5 * (quiet.forward + quiet.reverse))

    apart = bracket(made(even), made(even - 2.0, "reverse"))
    assert not apart.agree
    assert apart.spread == pytest.approx(2.0, abs=0.05)
    assert "nats, more than 1" in apart.verdict[0]
    assert bracket(made(even), made(even - 2.0, "reverse"), tolerance=3.0).agree

    crossed = bracket(made(even), made(even + 0.9, "reverse", "data"))
    assert crossed.agree
    assert not crossed.strict
    assert crossed.low < crossed.reverse < crossed.forward < crossed.high
    assert "below the forward" in crossed.verdict[0]
    assert "no upper bound" in crossed.verdict[-1]
    assert "so far as they have converged" in bracket(made(even), made(even, "reverse", "chains")).verdict[-1]

    spiky = bracket(made(np.where(np.arange(64) == 3, 9.0, 0.0)), made(even - 5.0, "reverse"))
    assert any("effective chains" in said for said in spiky.verdict)
    dead = bracket(made(np.where(np.arange(64) < 9, -np.inf, even)), made(even, "reverse"))
    assert any("9 of 64 weights at exactly 0" in said for said in dead.verdict)


def test_a_heavy_tail_is_told_though_many_chains_are_effective():
    # Pareto weights of k = 0.8 have a mean and no variance; exponential ones have every moment
    u = (np.random.default_rng(0).permutation(400) + 0.5) / 400
    heavy, light = made(-0.8 * np.log(u)), made(np.log(-np.log(u)))
    assert float(heavy.ess) > 0.05 * 400
    assert (heavy.reliable, light.reliable) == (False, True)
    back = made(np.zeros(400), "reverse")
    assert any("weights of heavy tail (index 0.7" in said for said in bracket(heavy, back).verdict)
    assert not any("heavy tail" in said for said in bracket(light, back).verdict)


def test_a_bad_number_never_agrees():
    even = np.zeros(16)
    for bad in (np.nan, np.inf):
        found = bracket(made(np.where(np.arange(16) == 2, bad, even)), made(even, "reverse"))
        assert not found.agree
        assert "not finite" in found.verdict[0]
        assert not found.contains(0.0) or bad == np.inf


def test_the_longest_run_makes_the_bound_and_all_must_agree():
    even = np.random.default_rng(0).normal(size=64) * 0.01
    found = bracket([made(even - 3.0, length=5), made(even, length=50)], made(even, "reverse"))
    assert found.forward == pytest.approx(0.0, abs=0.05)
    assert not found.agree
    assert found.spread == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: bracket(made(np.zeros(4)), made(np.zeros(4))), "must hold reverse runs; got forward"),
        (lambda: bracket(made(np.zeros(4), "reverse"), made(np.zeros(4), "reverse")), "must hold forward runs"),
        (lambda: bracket([], made(np.zeros(4), "reverse")), "at least one run"),
        (lambda: bracket([1.0], made(np.zeros(4), "reverse")), "got float"),
        (lambda: bracket(made(np.zeros(4)), made(np.zeros(4), "reverse"), tolerance=0.0), "tolerance must be > 0"),
    ],
)
def test_bracket_refuses(call, words, no_shape_hook):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"start": "guess"}, "start must be one of"),
        ({"xs": jnp.full((4, 2), jnp.nan)}, "xs must be finite"),
        ({"xs": jnp.zeros((4, 3))}, "shaped like the base"),
        ({"xs": jnp.zeros((1, 2))}, "at least 2"),
        ({"sampler": ULA(0.1)}, "exactly invariant"),
        ({"path": 3}, "path must be an AbstractPath"),
        ({"key": 0}, "one typed key"),
    ],
)
def test_reverse_refuses(changes, words, no_shape_hook):
    given = {"key": jax.random.key(0), "path": TARGETS["gaussian"].path, "sampler": MALA(0.1), "xs": jnp.zeros((4, 2)),
             "start": "data"} | changes  # fmt: skip
    with pytest.raises(ValueError, match=words):
        reverse_ais(
            given["key"], given["path"], given["sampler"], given["xs"], start=given["start"], num_temperatures=5
        )
