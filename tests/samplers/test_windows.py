"""Windowed warm-up: the schedule is Stan's, the variances are found, the kernel is frozen, and it pays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import AbstractEnergy, FunctionEnergy
from energax.samplers import (
    HMC,
    MALA,
    GeneralisedHMC,
    Whitened,
    advance,
    init_chains,
    moments,
    stan_windows,
    warm_up,
    window_warm_up,
    windows,
)
from energax.samplers.blackjax import relaxed
from judges import TARGETS, judge_invariance

SCALE = jnp.array([0.01, 0.1, 1.0, 10.0, 100.0])
CHAINS = 32


class IllScaled(AbstractEnergy):
    """N(3 scale, scale^2): not centred on purpose."""

    scale: jax.Array

    def __call__(self, x, cond=None):
        return 0.5 * jnp.sum((x / self.scale - 3.0) ** 2)


ENERGY = IllScaled(SCALE)


def warmed(sampler, target=0.8, num_steps=1000, energy=ENERGY, **options):
    chains = init_chains(sampler, energy, jnp.zeros((CHAINS, 5)))
    return window_warm_up(jax.random.key(0), sampler, energy, chains, num_steps, target, **options)


def judge_variances(frozen, within=0.06):
    found = np.asarray(frozen.scale) ** 2 / np.asarray(SCALE) ** 2
    assert np.all(np.abs(found - 1.0) < within), f"judge_variances: found over true variances are {found}."


def error_of_means(sampler, energy, chains, num_steps):
    """The variance of a chain's mean of x_i / scale_i, the worst coordinate's: what independent draws divide by n."""
    _, found = moments(jax.random.key(5), sampler, energy, chains, num_steps)
    means = np.asarray(found.chain_mean["x"], np.float64) / np.asarray(SCALE)
    return means.var(axis=0, ddof=1).max()


@pytest.mark.parametrize("num_steps", [20, 100, 150, 160, 199, 300, 1000, 2345])
def test_the_windows_are_stans(num_steps):
    """Against the schedule of blackjax, which is Stan's: (in a slow window, last of one)."""
    from blackjax.adaptation.window_adaptation import build_schedule

    with relaxed():
        schedule = np.asarray(build_schedule(num_steps))
    slow, last = stan_windows(num_steps)
    np.testing.assert_array_equal(slow, schedule[:, 0] == 1)
    np.testing.assert_array_equal(last, schedule[:, 1] == 1)


def test_an_ill_scaled_gaussian_is_made_round_and_it_pays():
    """Scales of 1 to 10,000: variances to 6 % and, a gradient, the means of HMC at least 100 times as precise."""
    frozen, chains = warmed(HMC(0.1, 3, jitter=0.3))
    assert isinstance(frozen, Whitened)
    judge_variances(frozen)
    plain = HMC(0.01, 3, jitter=0.3)
    rough = init_chains(plain, ENERGY, chains.states.x)
    plain, rough = warm_up(jax.random.key(0), plain, ENERGY, rough, 300, 0.8)
    with_mass, without = (error_of_means(*pair, 200) for pair in ((frozen, ENERGY, chains), (plain, ENERGY, rough)))
    assert with_mass < 0.01 * without
    _, info = advance(jax.random.key(1), frozen, ENERGY, chains, 100)
    assert abs(float(info.acceptance.mean()) - 0.8) < 0.1


def test_a_second_moment_for_a_variance_is_caught(monkeypatch):
    """The planted bug: Welford without its mean."""

    def planted(spread, rows):
        return windows.Spread(spread.num + len(rows), spread.mean, spread.squares + jnp.sum(rows**2, axis=0))

    monkeypatch.setattr(windows, "_add", planted)
    with pytest.raises(AssertionError, match="judge_variances"):
        judge_variances(warmed(HMC(0.1, 5))[0])


@pytest.mark.parametrize(
    ("sampler", "target"), [(MALA(0.01), 0.574), (GeneralisedHMC(0.1, 2, 0.7), 0.9)], ids=["mala", "generalised"]
)
def test_other_kernels_find_them_too(sampler, target):
    judge_variances(warmed(sampler, target)[0], within=0.25)


def test_the_frozen_kernel_is_a_kernel_with_constants():
    """It is exact: exact draws stay exact, whatever the warm-up saw; and a second warm-up compiles nothing."""
    truth, sampler = TARGETS["tilted well, beta 2"](), HMC(0.1, 3)
    chains = init_chains(sampler, truth.energy, truth.sample(3, CHAINS))
    frozen, _ = window_warm_up(jax.random.key(0), sampler, truth.energy, chains, 100)
    assert all(isinstance(leaf, (jax.Array, float)) for leaf in jax.tree.leaves(frozen))
    judge_invariance(frozen, truth)
    before = windows._run._cached._cache_size()
    window_warm_up(jax.random.key(1), HMC(0.2, 3), truth.energy, chains, 100, 0.7)
    assert windows._run._cached._cache_size() == before


def test_a_dense_mass_undoes_correlations():
    factor = jnp.array([[1.0, 0.0], [0.995, 0.1]])
    energy = FunctionEnergy(lambda x: 0.5 * jnp.sum(jax.scipy.linalg.solve_triangular(factor, x, lower=True) ** 2))
    chains = init_chains(HMC(0.1, 3), energy, jnp.zeros((CHAINS, 2)))
    frozen, chains = window_warm_up(jax.random.key(0), HMC(0.1, 3), energy, chains, 400, dense=True)
    whitened = np.linalg.solve(factor, np.asarray(frozen.scale))
    np.testing.assert_allclose(whitened @ whitened.T, np.eye(2), atol=0.15)
    again, _ = window_warm_up(jax.random.key(1), frozen, energy, chains, 100)  # variances alone, from what it was
    np.testing.assert_allclose(again.scale, 1.0, rtol=0.2)


def test_welford_by_batches_is_the_covariance():
    rows = np.random.default_rng(0).normal(1e3, [1.0, 2.0, 3.0], (6, 8, 3))
    with jax.enable_x64(True):
        for shape, exact in (((3,), np.var), ((3, 3), lambda x, axis, ddof: np.cov(x.T))):
            spread = windows._empty(jnp.zeros(shape))
            for batch in rows:
                spread = windows._add(spread, jnp.asarray(batch))
            exact = exact(rows.reshape(-1, 3), axis=0, ddof=1)
            np.testing.assert_allclose(spread.squares / (spread.num - 1), exact, rtol=1e-9)


def test_refusals():
    chains = init_chains(MALA(0.1), ENERGY, jnp.zeros((2, 5)))
    for call, message in (
        (
            lambda: window_warm_up(jax.random.key(0), MALA(0.1), ENERGY, chains, 19),
            "num_steps must be an integer >= 20",
        ),
        (lambda: window_warm_up(jax.random.key(0), MALA(0.1), ENERGY, chains, 50, 1.0), "target must lie in"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
