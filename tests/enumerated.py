"""Judges of discrete kernels: few enough states to write down, chains that start at exact draws, chi-squared tests.

A right kernel fails a test with probability `RATE` = 1e-6; `judge_law` and `judge_reversible` make two tests each.
Chains are independent, so that the counts are multinomial and no autocorrelation enters. With 100,000 chains a state of
probability 1/32 that is off by 22 % is surely seen, by 13 % every other time, and paired with the start a tenth of that
where few have moved. `tests/samplers/test_planted_discrete.py` plants bugs and sees them caught. The matrices of
`energax.evaluation.transitions` judge such kernels without statistics, to 1e-12.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from energax.core import AbstractEnergy, Chains
from energax.numerics import chain_keys
from energax.samplers import AbstractSites, advance, init_chains, num_chains, one_step
from energax.samplers.chains import refresh_all
from judges import OFFSET, RATE, SPENT, optimised

FEW = 8.0  # a cell that expects fewer counts is pooled


class Space(NamedTuple):
    """Every state of a few sites, and the probabilities of exp(-E) on them."""

    energy: AbstractEnergy
    sites: AbstractSites
    states: np.ndarray
    """[states of the whole, ...], float32: row i is the state number i."""
    probabilities: np.ndarray

    def draw(self, seed: int, num: int) -> np.ndarray:
        """Numbers of `num` exact independent draws."""
        return np.random.default_rng(seed).choice(len(self.states), num, p=self.probabilities)

    @property
    def codes(self) -> np.ndarray:
        """The states of the sites [states of the whole, sites]."""
        return np.asarray(jax.vmap(self.sites.codes)(jnp.asarray(self.states)))

    def numbers(self, x: Any) -> np.ndarray:
        """The number of each state of a batch [num, ...]."""
        codes = np.asarray(jax.vmap(self.sites.codes)(x))
        kinds = self.sites.num_states(jnp.asarray(self.states[0]))
        return codes @ kinds ** np.arange(codes.shape[1])


def space(energy: AbstractEnergy, sites: AbstractSites, like: jax.Array) -> Space:
    """All states in the shape of one sample, with probabilities in double precision."""
    kinds, number = sites.num_states(like), sites.codes(like).shape[0]
    codes = np.arange(kinds**number)[:, None] // kinds ** np.arange(number) % kinds
    states = np.asarray(jax.vmap(lambda c: sites.embed(c, like))(jnp.asarray(codes, jnp.int32)))
    return Space(energy, sites, states, probabilities(energy, states))


def probabilities(energy: AbstractEnergy, states: np.ndarray) -> np.ndarray:
    """exp(-E) / Z of every state; the energy's numbers are widened to double precision."""
    with jax.enable_x64(True):
        values = np.asarray(jax.vmap(wide(energy))(jnp.asarray(states, jnp.float64)))
    weights = np.exp(values.min() - values)
    return weights / weights.sum()


def wide(tree: Any) -> Any:
    """The same with every floating number in double precision."""

    def one(leaf):
        return jnp.asarray(leaf, jnp.float64) if isinstance(leaf, float) or eqx.is_inexact_array(leaf) else leaf

    return jax.tree.map(one, tree)


@optimised()
def run(
    sampler: Any,
    truth: Space,
    *,
    num_steps: int = 3,
    num: int = 100_000,
    seed: int = 0,
    runner: Callable = advance,
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the states of every chain: at its exact start, and `num_steps` later."""
    before = truth.draw(seed + OFFSET, num)
    chains = init_chains(sampler, truth.energy, jnp.asarray(truth.states[before]))
    chains, _ = runner(jax.random.key(seed + OFFSET + 1), sampler, truth.energy, chains, num_steps)
    return before, truth.numbers(chains.states.x)


def fresh(key: Any, sampler: Any, energy: AbstractEnergy, chains: Chains, num_steps: int) -> tuple[Chains, Any]:
    """`advance` compiled anew: for bugs that a test has planted in the code of a kernel."""
    keys = chain_keys(key, num_chains(chains))

    @eqx.filter_jit
    def steps(states):
        states = refresh_all(sampler, energy, states)
        return jax.lax.scan(lambda s, i: one_step(sampler, keys, i, energy, s), states, jnp.arange(num_steps))

    states, info = steps(chains.states)
    return Chains(states), info


def whole(log_probabilities: Any, codes: np.ndarray) -> np.ndarray:
    """Transition matrix of sites that move at once: from row i to row j, log_probabilities[i, site, codes[j, site]]."""
    return np.exp(sum(np.asarray(log_probabilities)[:, i][:, codes[:, i]] for i in range(codes.shape[1])))


def judge_law(before: np.ndarray, after: np.ndarray, truth: Space) -> float:
    """The law after some steps is the law at the start -> the smaller p-value of two tests.

    Against the exact probabilities (chi-squared of the counts), and paired with the start: as many chains left a state
    as came to it, which is the sharper the fewer have moved.
    """
    size = len(truth.states)
    expected = len(after) * truth.probabilities
    counts = np.bincount(after, minlength=size).astype(float)
    rare = expected < FEW
    if rare.any():
        counts = np.append(counts[~rare], counts[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
    keep = expected > 0.0
    plain = stats.chi2.sf(np.sum((counts - expected)[keep] ** 2 / expected[keep]), keep.sum() - 1)
    moved = before != after
    came, left = (np.bincount(n[moved], minlength=size) for n in (after, before))
    paired = float(_tails(came - left, came + left).min(initial=1.0))
    p = float(min(plain, paired))
    SPENT.append(2 * RATE)
    assert p > RATE, f"judge_law: p = {plain:.1e} against the exact law, {paired:.1e} paired with the start."
    return p


def judge_reversible(before: np.ndarray, after: np.ndarray, truth: Space) -> float:
    """From exact draws x is followed by y as often as y by x (detailed balance) -> the p-value."""
    size = len(truth.states)
    flow = np.bincount(before * size + after, minlength=size * size).reshape(size, size).astype(float)
    upper = np.triu_indices(size, 1)
    there, back = flow[upper], flow.T[upper]
    enough = there + back >= FEW
    score = np.sum((there - back)[enough] ** 2 / (there + back)[enough])  # coins, independent given the sums
    SPENT.append(2 * RATE)
    p = float(min(stats.chi2.sf(score, enough.sum()), _tails(there - back, there + back).min(initial=1.0)))
    assert p > RATE, f"judge_reversible: p = {p:.1e} that as many go from x to y as from y to x."
    return p


def judge_movement(before: np.ndarray, after: np.ndarray, truth: Space, least: float = 0.2) -> float:
    """Both laws hold for a kernel that never moves: this share of the chains must have, and every state be met."""
    share = float(np.mean(before != after))
    assert share > least, f"judge_movement: {share:.3f} of the chains moved; at least {least} was asked."
    return share


def _tails(difference: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Two-sided p-values of differences whose variance is their total, times how many there are (Bonferroni)."""
    enough = total >= FEW
    z = np.abs(difference[enough]) / np.sqrt(total[enough])
    return 2.0 * stats.norm.sf(z) * max(len(z), 1)
