"""Judges of samplers: each compares with an exact answer and says how many standard errors off a kernel is.

A judge raises AssertionError with the statistic and its z. `tests/test_judges.py` plants bugs for every judge and sees
them caught. Targets are skewed and tempered (beta != 1) on purpose: symmetric tests hide sign errors and lost betas.

Error rates. A right kernel fails a verdict, over all its statistics together, with probability `RATE` = 1e-6
(Bonferroni: 5.4 standard errors for 14 statistics, 4.9 for one). An error of `seen(14)` = 10.2 standard errors passes
as rarely, one of 5.4 every other time. A standard error over N independent chains is sd / sqrt(N): with the 100,000 of
`judge_invariance` an error of 3.2 % of a statistic's standard deviation is surely seen. The rates are those of normal
means; the heaviest tail here, x^3 under the Gumbel density, is so skewed that its 1e-6 is a few 1e-6.

Seeds are fixed, so that what is right stays green. ENERGAX_TEST_SEED=1, 2, .. moves those of the judges: a failure then
is a bug, or one run in 1 / RATE.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from scipy import stats

from energax.core import AbstractEnergy, FunctionEnergy, Tempered
from energax.samplers import advance, init_chains, sample

RATE = 1e-6
REPEATS = 400
"""Runs over which error bars are judged."""
OFFSET = int(os.environ.get("ENERGAX_TEST_SEED", "0"))
SPENT: list[float] = []
"""The false-fail rates of the verdicts so far; `conftest.py` tells their sum."""


def reach(num: int = 1, freedom: float = np.inf, rate: float = RATE) -> float:
    """Standard errors that none of `num` right estimates exceeds, but for one run in 1 / `rate`.

    `freedom`: the degrees of freedom of the error bar, if it was itself estimated from few numbers (Student's t).
    """
    SPENT.append(rate)
    return float(stats.t.isf(0.5 * rate / num, freedom))


def seen(num: int = 1, rate: float = RATE) -> float:
    """Standard errors by which one of `num` statistics must be off to fail all but once in 1 / `rate` runs."""
    return float(stats.norm.isf(0.5 * rate / num) + stats.norm.isf(rate))


@contextmanager
def optimised() -> Iterator[None]:
    """Programs that run for longer than they compile: XLA optimises them as it does for users (see `conftest.py`)."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


@contextmanager
def refuses(sentence: str) -> Iterator[None]:
    """What is called within must refuse in its own sentence, as for a user, whose types nothing checks beforehand."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(ValueError, match=sentence):
            yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


class Target(NamedTuple):
    """A density on the line, with an exact sampler and exact expectations from a fine grid."""

    energy: AbstractEnergy
    grid: np.ndarray
    density: np.ndarray

    def sample(self, seed: int, num: int) -> jax.Array:
        """`num` exact independent draws [num, 1], by the inverse of the distribution function."""
        step = np.diff(self.grid)
        cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (self.density[1:] + self.density[:-1]) * step)])
        u = np.random.default_rng(seed).random(num) * cumulative[-1]
        return jnp.asarray(np.interp(u, cumulative, self.grid)[:, None], jnp.float32)

    def mean(self, statistic: Callable) -> float:
        """The exact expectation of a function of x [1]."""
        values = jax.vmap(statistic)(jnp.asarray(self.grid[:, None], jnp.float32))
        return float(np.trapezoid(np.asarray(values, np.float64) * self.density, self.grid))

    @property
    def statistics(self) -> dict[str, Callable]:
        """What the judges look at."""
        return STATISTICS | {"E": self.energy}


class Valley(NamedTuple):
    """A bent valley in the plane: x_0 from a density on the line, x_1 about 0.8 x_0^2 with variance 1 / (8 beta)."""

    energy: AbstractEnergy
    floor: Target
    width: float

    def sample(self, seed: int, num: int) -> jax.Array:
        """`num` exact independent draws [num, 2]."""
        along = np.asarray(self.floor.sample(seed, num), np.float64)[:, 0]
        across = self.width * np.random.default_rng([seed, 1]).standard_normal(num)
        return jnp.asarray(np.stack([along, 0.8 * along**2 + across], axis=1), jnp.float32)

    def mean(self, statistic: Callable) -> float:
        """The exact expectation of a function of x [2]: the grid of the floor times Gauss and Hermite's points."""
        points, weights = np.polynomial.hermite_e.hermegauss(40)
        grid, density = self.floor.grid[::10], self.floor.density[::10]
        x = np.stack(np.broadcast_arrays(grid[:, None], 0.8 * grid[:, None] ** 2 + self.width * points), axis=-1)
        values = np.asarray(jax.vmap(jax.vmap(statistic))(jnp.asarray(x, jnp.float32)), np.float64)
        return float(np.trapezoid(values @ (weights / weights.sum()) * density, grid) / np.trapezoid(density, grid))

    @property
    def statistics(self) -> dict[str, Callable]:
        """What the judges look at."""
        return {
            "x_0": lambda x: x[0],
            "x_1": lambda x: x[1],
            "x_0 x_1": lambda x: x[0] * x[1],
            "x_1^2": lambda x: x[1] ** 2,
            "sin 2 x_1": lambda x: jnp.sin(2.0 * x[1]),
            "x_0 > 0": lambda x: (x[0] > 0.0).astype(jnp.float32),
            "E": self.energy,
        }


def target(energy: Callable, low: float, high: float, beta: float = 1.0) -> Target:
    """exp(-beta * energy(x)) on [low, high], outside which it must be negligible or the energy not finite."""
    whole = Tempered(FunctionEnergy(energy), beta)
    grid = np.linspace(low, high, 40_001)
    values = np.asarray(jax.vmap(energy)(jnp.asarray(grid[:, None], jnp.float32)), np.float64)
    density = np.where(np.isfinite(values), np.exp(-beta * (values - np.nanmin(values))), 0.0)
    return Target(whole, grid, density / np.trapezoid(density, grid))


class Parabola(AbstractEnergy):
    """N(centre, 1) in every coordinate."""

    centre: jax.Array

    def __call__(self, x, cond=None):
        return 0.5 * jnp.sum((x - self.centre) ** 2)


def tilted_well(x: jax.Array) -> jax.Array:
    """Two unequal wells: skewed, and with a barrier."""
    return jnp.sum((x**2 - 1.0) ** 2 + 0.5 * x)


def gumbel(x: jax.Array) -> jax.Array:
    """One skewed well: x + exp(-x)."""
    return jnp.sum(x + jnp.exp(-x))


def bounded(x: jax.Array) -> jax.Array:
    """Finite on (-1, 1) only: outside, its logarithms are not numbers."""
    return jnp.sum((1.0 - x) * jnp.log(1.0 - x) + (1.0 + x) * jnp.log(1.0 + x))


TARGETS = {
    "tilted well, beta 2": lambda: target(tilted_well, -3.0, 3.0, beta=2.0),
    "gumbel, beta 0.5": lambda: target(gumbel, -4.0, 60.0, beta=0.5),
}


def bent_valley() -> Valley:
    """The tilted well at beta = 2 along a parabola."""

    def energy(x):
        return tilted_well(x[0]) + 4.0 * (x[1] - 0.8 * x[0] ** 2) ** 2

    return Valley(Tempered(FunctionEnergy(energy), 2.0), target(tilted_well, -3.0, 3.0, beta=2.0), 0.25)


EVERY_TARGET = TARGETS | {"bent valley, beta 2": bent_valley}

STATISTICS: dict[str, Callable] = {
    "x": lambda x: x[0],
    "x^2": lambda x: x[0] ** 2,
    "x^3": lambda x: x[0] ** 3,
    "cos x": lambda x: jnp.cos(x[0]),
    "sin 2x": lambda x: jnp.sin(2.0 * x[0]),
    "x > 0": lambda x: (x[0] > 0.0).astype(jnp.float32),
}


def _z(values: np.ndarray, exact: float) -> float:
    """Standard errors between the mean of independent values and the truth; infinite where a value is not finite."""
    if not np.all(np.isfinite(values)):
        return float("inf")
    error = values.std(ddof=1) / np.sqrt(len(values))
    return float((values.mean() - exact) / max(error, 1e-12))


def verdict(name: str, scores: dict[str, float], rate: float = RATE) -> dict[str, float]:
    """Raises AssertionError where a score is over `reach(len(scores))` or not a number.

    False-fail rate: `rate` over all scores. Sees: what moves one of them by `seen(len(scores))` standard errors.
    """
    limit = reach(len(scores), rate=rate)
    worst = max(scores, key=lambda k: np.inf if np.isnan(scores[k]) else abs(scores[k]))
    assert abs(scores[worst]) < limit, f"{name}: {worst} is {scores[worst]:.1f} standard errors off ({scores})."
    return scores


def judge_error_bars(scores: np.ndarray, *, freedom: float = np.inf, bias: float = 0.0) -> np.ndarray:
    """(estimate - truth) / error bar over independent runs [runs] is of mean 0 and standard deviation 1.

    False-fail rate 1e-6 for normal estimates: the standard deviation in its chi-squared band ([0.84, 1.17] for 400
    runs), the mean within 4.9 / sqrt(runs). Sees, all but once in 1e6: error bars too small by 1.42 or too large by
    1.37, a bias of half an error bar. Each is seen every other time at a sixth, and at a quarter of an error bar.

    Args:
        scores: One a run.
        freedom: Of Student's t, where the error bar is the scatter of few numbers: scores are mapped to normal ones.
        bias: A mean that is known to be there (a finite sample's Jensen bias), allowed for in error bars.
    """
    normal = np.asarray(scores, np.float64)
    if np.isfinite(freedom):
        normal = stats.norm.ppf(stats.t.cdf(normal, freedom))
    runs = len(normal)
    assert np.all(np.isfinite(normal)), "judge_error_bars: a score is not finite."
    low, high = np.sqrt(stats.chi2.ppf([RATE / 4, 1 - RATE / 4], runs - 1) / (runs - 1))
    spread, middle = normal.std(ddof=1), normal.mean()
    assert low < spread < high, f"judge_error_bars: scores scatter by {spread:.3f}, outside [{low:.3f}, {high:.3f}]."
    limit = reach(2) * spread / np.sqrt(runs) + bias
    assert abs(middle) < limit, f"judge_error_bars: the mean score is {middle:.3f}, over {limit:.3f}."
    return normal


@optimised()
def judge_invariance(
    sampler: Any,
    truth: Target | Valley,
    *,
    num_steps: int = 5,
    num_chains: int = 100_000,
    seed: int = 0,
    runner: Callable = advance,
) -> dict[str, float]:
    """Chains that start at exact draws have the same law after `num_steps`: against the truth, and against their start.

    No burn-in and no effective sample size: the chains are independent, so that their standard errors are exact.
    False-fail rate 1e-6. Sees a mean that is off by 3.2 % of its statistic's standard deviation, and, paired, one that
    drifts by 3.2 % of the standard deviation of its change.
    """
    start = truth.sample(seed + OFFSET, num_chains)
    chains = init_chains(sampler, truth.energy, start)
    chains, _ = runner(jax.random.key(seed + OFFSET), sampler, truth.energy, chains, num_steps)
    scores = {}
    for name, statistic in truth.statistics.items():
        before = np.asarray(jax.vmap(statistic)(start), np.float64)
        after = np.asarray(jax.vmap(statistic)(chains.states.x), np.float64)
        scores[name] = _z(after, truth.mean(statistic))
        if np.all(np.isfinite(after)) and np.any(after != before):
            scores[f"{name}, paired"] = _z(after - before, 0.0)
    return verdict("judge_invariance", scores)


def judge_movement(
    sampler: Any, truth: Target | Valley, *, num_chains: int = 20_000, seed: int = 0, least: float = 0.05
) -> float:
    """Invariance passes the kernel that never moves: the mean squared jump must be `least` of the variance or more.

    No error rate: kernels here jump several times as far. Sees one that moves less than that.
    """
    start = truth.sample(seed, num_chains)
    chains = init_chains(sampler, truth.energy, start)
    chains, _ = advance(jax.random.key(seed), sampler, truth.energy, chains, 5)
    share = float(jnp.mean((chains.states.x - start) ** 2) / jnp.var(start))
    assert share > least, f"judge_movement: five steps jump {share:.2e} of the variance; at least {least} was asked."
    return share


def judge_moments(
    sampler: Any,
    energy: Callable,
    exact: dict[str, tuple[Callable, float]],
    start: jax.Array,
    *,
    burn_in: int = 50,
    num_samples: int = 50,
    thin: int = 1,
    seed: int = 0,
) -> dict[str, float]:
    """Long-run means of statistics against exact values.

    The standard error of each is the scatter of the chains' own means: whatever the autocorrelation inside a chain is,
    it is in there (an effective sample size that needs no estimate), since chains are independent of each other.
    False-fail rate 1e-6 for hundreds of chains. Sees `seen(number of statistics)` standard errors of that scatter: with
    1000 chains a third of the standard deviation of one chain's mean.
    """
    chains = init_chains(sampler, energy, start)
    _, draws = sample(jax.random.key(seed + OFFSET), sampler, energy, chains, num_samples, thin=thin, burn_in=burn_in)
    scores = {}
    for name, (statistic, value) in exact.items():
        each = np.asarray(jax.vmap(jax.vmap(statistic))(draws.x), np.float64)
        scores[name] = _z(each.mean(1), value)
    return verdict("judge_moments", scores)


def judge_acceptance(sampler: Any, exact: float, dim: int = 1, *, num_chains: int = 20_000, seed: int = 0) -> float:
    """The mean acceptance in equilibrium on N(0, 1)^dim against its closed form.

    False-fail rate 1e-6. Sees an acceptance off by 9.6 standard errors over the chains: by 0.02 with 20,000.
    """
    energy = Parabola(jnp.zeros(()))
    start = jnp.asarray(np.random.default_rng(seed + OFFSET).standard_normal((num_chains, dim)), jnp.float32)
    _, info = advance(jax.random.key(seed + OFFSET), sampler, energy, init_chains(sampler, energy, start), 2)
    score = _z(np.asarray(info.acceptance, np.float64), exact)
    verdict("judge_acceptance", {"acceptance": score})
    return score


def judge_follows(sampler: Any, *, num_steps: int = 100, num_chains: int = 500, seed: int = 0) -> float:
    """An energy that moves from a Gaussian at 0 to one at 5 is followed by chains that were made under the old one.

    False-fail rate 1e-6 once they have forgotten their start. Sees a mean that is off by 0.43 with 500 chains.
    """
    start = jnp.asarray(np.random.default_rng(seed + OFFSET).standard_normal((num_chains, 1)), jnp.float32)
    chains = init_chains(sampler, Parabola(jnp.zeros(())), start)
    chains, _ = advance(jax.random.key(seed + OFFSET), sampler, Parabola(jnp.full((), 5.0)), chains, num_steps)
    score = _z(np.asarray(chains.states.x[:, 0], np.float64), 5.0)
    verdict("judge_follows", {"mean after the energy moved to 5": score})
    return score


def judge_independence(
    sampler: Any, *, num_chains: int = 64, num_steps: int = 400, seed: int = 0, runner: Callable = advance
) -> dict[str, float]:
    """Chains that start at one point and draw their own noise have uncorrelated ends.

    Over many runs the variance of the chains' mean is their variance over their number; one noise for all makes it
    `num_chains` times that. The score is the normal quantile of the p-value of that ratio, a sum of eight squares.
    False-fail rate 1e-6. Sees chains correlated by 0.3: a ratio of 20 for 64 chains.
    """
    energy = Parabola(jnp.zeros(()))
    chains = init_chains(sampler, energy, jnp.zeros((num_chains, 8)))
    chains, _ = runner(jax.random.key(seed + OFFSET), sampler, energy, chains, num_steps)
    x = np.asarray(chains.states.x, np.float64)
    ratio = num_chains * x.mean(0) ** 2 / max(x.var(), 1e-9)
    p = stats.chi2.sf(ratio.sum(), len(ratio))
    scores = {"variance of the mean over chains": float(stats.norm.isf(max(0.5 * p, 1e-300)))}
    scores["spread of the chains"] = 0.0 if x.var() > 0.1 else np.inf
    return verdict("judge_independence", scores)


def judge_slots(draw: Callable, write: Callable, buffer: Any, *, num_turns: int = 50, seed: int = 0) -> None:
    """A walker drawn from a slot goes back to that slot: slot i's sample carries its own label i for ever."""
    label = np.asarray(buffer.samples.states)[:, 0].copy()
    for turn in range(num_turns):
        slots, xs, ages = draw(buffer, jax.random.fold_in(jax.random.key(seed), turn))
        buffer = write(buffer, slots, xs.at[:, 1].add(1.0), ages)
        now = np.asarray(buffer.samples.states)[:, 0]
        assert np.array_equal(now, label), (
            f"judge_slots: after turn {turn} the slots hold {now}; they must hold {label}."
        )
