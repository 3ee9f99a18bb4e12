"""Invariance from exact draws: chains that start in equilibrium are in equilibrium after a few steps.

Source: Gandy and Scott (2020), Unit testing for MCMC and other Monte Carlo methods, arXiv:2001.06465, section 3 (tests
    from exact draws, whose null is exact whatever the kernel's mixing).
What differs: two scores a statistic, of the ends against the exact expectation and of each end against its own start,
which is far sharper over few steps; scores beyond the limit are looked at twice. There is no burn-in and no effective
sample size: the chains are independent, so that their standard errors are exact. A kernel that stands still has no such
error, so that the mean squared jump of either number must be a thousandth of the variance at least.
Cost: chains x steps. Sees a bias of 0.03 standard deviations of a statistic at 19,200 chains every other time, of 0.06
surely; the paired scores see less, where five steps leave most of the start.
Fails to see a kernel that mixes slowly, and one whose state is more than what `init` makes of x.
"""

from typing import Any

import equinox as eqx
import jax
import numpy as np

from energax.core import AbstractSampler
from energax.samplers import advance, init_chains

from .analytic import Analytic, numbers, statistics
from .certificate import LEAST_SHARE, SIGMAS, Row, score, sigmas

LOOKS = 4  # the second look pools so many runs


def judge_moments(
    sampler: AbstractSampler, target: Analytic, seed: int, num_chains: int, num_steps: int, turns: int = 1
) -> tuple[Row, Row]:
    """The rows of invariance and of movement on one target.

    Args:
        sampler: The kernel.
        target: What it should leave invariant.
        seed: Of the draws and the steps.
        num_chains: Independent chains.
        num_steps: Steps of each turn.
        turns: How many.
    """
    first = _run(sampler, target, seed, num_chains, num_steps, turns)
    scores = _scores(target, first)
    flagged = [name for name, value in scores.items() if not abs(value) < SIGMAS]
    if flagged and sampler.exact:  # of one that is not, nothing hangs on the second look
        runs = [_run(sampler, target, 1_000_003 * (seed + 1) + i, num_chains, num_steps, turns) for i in range(LOOKS)]
        pooled = tuple(
            {name: np.concatenate([run[part][name] for run in runs]) for name in runs[0][part]} for part in (0, 1)
        )
        second = _scores(target, pooled)
        scores |= {name: second[name] for name in flagged if name in second}
    binding = bool(sampler.exact)
    share = _share(first)
    moved = Row("movement", target.name, "squared jump", share, LEAST_SHARE, "share", bool(share > LEAST_SHARE))
    return sigmas("moments", target.name, scores, binding=binding), moved


def _run(sampler, target, seed, num_chains, num_steps, turns) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Statistics of every chain before and after."""
    start = target.draw(seed, num_chains)
    chains = init_chains(sampler, target.energy, start)
    for turn in range(turns):
        key = jax.random.fold_in(jax.random.key(seed), turn)
        chains, _ = advance(key, sampler, target.energy, chains, num_steps)
    return _table(target.energy, start), _table(target.energy, chains.states.x)


@eqx.filter_jit
def _tabulated(energy: Any, xs: Any) -> Any:
    return jax.vmap(lambda x: (statistics(energy, x), numbers(x)))(xs)


def _table(energy, xs) -> dict[str, np.ndarray]:
    values, (u, v) = _tabulated(energy, xs)
    # the two numbers come along for the jump
    return {name: np.asarray(value, np.float64) for name, value in (values | {"x": u, "y": v}).items()}


def _scores(target, run) -> dict[str, float]:
    before, after = run
    scores = {}
    for name, exact in target.expectations().items():
        scores[name] = score(after[name], exact)
        if np.any(after[name] != before[name]):
            scores[f"{name}, paired"] = score(after[name] - before[name])
    return scores


def _share(run) -> float:
    before, after = run
    jumps = []
    for name in ("x", "y"):
        jumps.append(np.mean((after[name] - before[name]) ** 2) / np.var(before[name]))
    return float(min(jumps)) if np.all(np.isfinite(jumps)) else float("nan")
