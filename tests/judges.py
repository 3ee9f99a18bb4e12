"""Judges of samplers: each compares with an exact answer and says how many standard errors off a kernel is.

A judge raises AssertionError with the statistic and its z. `tests/test_judges.py` plants bugs for every judge and sees
them caught. Targets are skewed and tempered (beta != 1) on purpose: symmetric tests hide sign errors and lost betas.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from energax.core import AbstractEnergy, FunctionEnergy, Tempered
from energax.samplers import advance, init_chains, sample

LIMIT = 4.0


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


def verdict(name: str, scores: dict[str, float], limit: float = LIMIT) -> dict[str, float]:
    """Raises AssertionError where a score is over the limit or not a number."""
    worst = max(scores, key=lambda k: np.inf if np.isnan(scores[k]) else abs(scores[k]))
    assert abs(scores[worst]) < limit, f"{name}: {worst} is {scores[worst]:.1f} standard errors off ({scores})."
    return scores


def judge_invariance(
    sampler: Any,
    truth: Target,
    *,
    num_steps: int = 5,
    num_chains: int = 20_000,
    seed: int = 0,
    runner: Callable = advance,
) -> dict[str, float]:
    """Chains that start at exact draws have the same law after `num_steps`: against the truth, and against their start.

    No burn-in and no effective sample size: the chains are independent, so that their standard errors are exact.
    """
    start = truth.sample(seed, num_chains)
    chains = init_chains(sampler, truth.energy, start)
    chains, _ = runner(jax.random.key(seed), sampler, truth.energy, chains, num_steps)
    scores = {}
    for name, statistic in STATISTICS.items():
        before = np.asarray(jax.vmap(statistic)(start), np.float64)
        after = np.asarray(jax.vmap(statistic)(chains.states.x), np.float64)
        scores[name] = _z(after, truth.mean(statistic))
        if np.all(np.isfinite(after)) and np.any(after != before):
            scores[f"{name}, paired"] = _z(after - before, 0.0)
    return verdict("judge_invariance", scores)


def judge_movement(
    sampler: Any, truth: Target, *, num_chains: int = 20_000, seed: int = 0, least: float = 0.05
) -> float:
    """Invariance passes the kernel that never moves: the mean squared jump must be `least` of the variance or more."""
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
    limit: float = LIMIT,
) -> dict[str, float]:
    """Long-run means of statistics against exact values.

    The standard error of each is the scatter of the chains' own means: whatever the autocorrelation inside a chain is,
    it is in there (an effective sample size that needs no estimate), since chains are independent of each other.
    """
    chains = init_chains(sampler, energy, start)
    _, draws = sample(jax.random.key(seed), sampler, energy, chains, num_samples, thin=thin, burn_in=burn_in)
    scores = {}
    for name, (statistic, value) in exact.items():
        each = np.asarray(jax.vmap(jax.vmap(statistic))(draws.x), np.float64)
        scores[name] = _z(each.mean(1), value)
    return verdict("judge_moments", scores, limit)


def judge_acceptance(sampler: Any, exact: float, dim: int = 1, *, num_chains: int = 20_000, seed: int = 0) -> float:
    """The mean acceptance in equilibrium on N(0, 1)^dim against its closed form."""
    energy = Parabola(jnp.zeros(()))
    start = jnp.asarray(np.random.default_rng(seed).standard_normal((num_chains, dim)), jnp.float32)
    _, info = advance(jax.random.key(seed), sampler, energy, init_chains(sampler, energy, start), 2)
    score = _z(np.asarray(info.acceptance, np.float64), exact)
    verdict("judge_acceptance", {"acceptance": score})
    return score


def judge_follows(sampler: Any, *, num_steps: int = 100, num_chains: int = 500, seed: int = 0) -> float:
    """An energy that moves from a Gaussian at 0 to one at 5 is followed by chains that were made under the old one."""

    start = jnp.asarray(np.random.default_rng(seed).standard_normal((num_chains, 1)), jnp.float32)
    chains = init_chains(sampler, Parabola(jnp.zeros(())), start)
    chains, _ = advance(jax.random.key(seed), sampler, Parabola(jnp.full((), 5.0)), chains, num_steps)
    score = _z(np.asarray(chains.states.x[:, 0], np.float64), 5.0)
    verdict("judge_follows", {"mean after the energy moved to 5": score})
    return score


def judge_independence(
    sampler: Any, *, num_chains: int = 64, num_steps: int = 400, seed: int = 0, runner: Callable = advance
) -> dict[str, float]:
    """Chains that start at one point and draw their own noise have uncorrelated ends.

    Over many runs the variance of the chains' mean is their variance over their number; one noise for all makes it
    `num_chains` times that. The score is that ratio's excess over 1, in units of its standard deviation.
    """
    energy = Parabola(jnp.zeros(()))
    chains = init_chains(sampler, energy, jnp.zeros((num_chains, 8)))
    chains, _ = runner(jax.random.key(seed), sampler, energy, chains, num_steps)
    x = np.asarray(chains.states.x, np.float64)
    ratio = num_chains * x.mean(0) ** 2 / max(x.var(), 1e-9)
    scores = {"variance of the mean over chains": float((ratio.mean() - 1.0) / np.sqrt(2.0 / len(ratio)))}
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
