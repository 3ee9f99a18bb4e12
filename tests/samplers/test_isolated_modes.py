"""Fourteen isolated modes of an enumerable machine: tempering visits all with their weights, block Gibbs alone none."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from energax.energies import bars_and_stripes, bars_and_stripes_rbm
from energax.energies.enumeration import state_blocks
from energax.samplers import BlockGibbs, ParallelTempering, advance, init_chains, tempered_joint
from judges import RATE

MACHINE = bars_and_stripes_rbm(16.0)
PATTERNS = np.asarray(bars_and_stripes())
STATES = np.concatenate(list(state_blocks(9, 0.0, 1.0))).astype(np.float32)


def counts(x):
    """Of every pattern, and of all else."""
    codes, listed = (np.asarray(v, int) @ (1 << np.arange(9)) for v in (x, PATTERNS))
    found = np.array([(codes == code).sum() for code in listed])
    return np.append(found, len(codes) - found.sum())


def shares():
    energies = np.asarray(jax.vmap(MACHINE)(jnp.asarray(STATES)), np.float64)
    p = np.exp(-energies - np.logaddexp.reduce(-energies))
    mass = np.array([p[np.all(STATES == pattern, axis=1)].sum() for pattern in PATTERNS])
    return np.append(mass, 1.0 - mass.sum())


def test_tempering_visits_every_mode_and_block_gibbs_stays():
    """2,000 chains, all begun at the first pattern. False-fail rate 1e-6; a mode that is missing is surely seen, one of
    half its weight in half the runs.
    """
    start, steps = jnp.broadcast_to(jnp.asarray(PATTERNS[0]), (2000, 9)), 300
    sampler = ParallelTempering(BlockGibbs(), jnp.geomspace(1.0, 0.04, 10), family=tempered_joint)
    chains, _ = advance(jax.random.key(0), sampler, MACHINE, init_chains(sampler, MACHINE, start), steps)
    found, expected = counts(chains.states.x), 2000 * shares()
    p = stats.chi2.sf(np.sum((found - expected) ** 2 / expected), len(found) - 1)
    assert p > RATE, (p, found, expected)
    alone, _ = advance(jax.random.key(0), BlockGibbs(), MACHINE, init_chains(BlockGibbs(), MACHINE, start), steps)
    found = counts(alone.states.x)
    assert stats.chi2.sf(np.sum((found - expected) ** 2 / expected), len(found) - 1) < 1e-100, found
