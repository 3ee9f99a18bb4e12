"""Long runs of adapted kernels against exact answers: chain means centred on the truth and spread as one law.

The acceptance statistic, the mass and the step size are frozen after warm-up, or invariance would not hold.
Sixty-four chains a target; each statistic's mean over chains must be within Student's reach of the exact one (the
smallest error that is surely seen is twice that, some 1.3 standard errors of a single chain), and the chains' own means
must be draws of one normal law about it, by Kolmogorov and Smirnov.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from energax.energies import BrownianMotion, EightSchools, Phi4Chain, brownian_exact, eight_schools_exact, phi4_exact
from energax.samplers import HMC, init_chains, nuts, sample, window_warm_up
from judges import RATE, SPENT, reach

CHAINS = 64
pytestmark = [pytest.mark.slow, pytest.mark.optimised]


def schools():
    """Eight schools: (energy, dimensions, statistic of one draw, its exact mean)."""
    exact, energy = eight_schools_exact(), EightSchools()
    truth = [exact.mu[0], exact.mu[0] ** 2 + exact.mu[1] ** 2, exact.tau[0], *exact.effects[0]]
    return energy, 10, lambda x: jnp.stack([x[0], x[0] ** 2, jnp.exp(x[1]), *energy.effects(x)]), truth


def field():
    """A chain of sixteen sites in its disordered phase."""
    energy = Phi4Chain(16, 1.0, 0.5)
    exact = phi4_exact(energy)
    truth = [exact.correlation[0], exact.correlation[1], exact.correlation[8], exact.magnetisation_square]

    def seen(x):
        return jnp.stack([*(jnp.mean(x * jnp.roll(x, r)) for r in (0, 1, 8)), jnp.mean(x) ** 2])

    return energy, 16, seen, truth


def walk():
    """Brownian motion with two unknown scales."""
    energy, exact = BrownianMotion(), brownian_exact()

    def seen(x):
        return jnp.concatenate([jnp.exp(x[:2]), x[2::7]])

    return energy, 32, seen, [exact.innovation, exact.observation, *exact.path[::7]]


TARGETS = {"eight schools": schools, "phi^4, 16 sites": field, "Brownian motion": walk}
KERNELS = {"nuts": (nuts(0.1), 0.8, 600), "hmc": (HMC(0.1, 12, 0.5), 0.7, 2000)}


def chain_means(target, kernel, beta=1.0):
    """Means over each chain's draws of every statistic [chains, statistics], and their exact means."""
    energy, dim, statistic, truth = TARGETS[target]()
    sampler, accept, draws = KERNELS[kernel]
    start, warm, run = jax.random.split(jax.random.key(7), 3)
    chains = init_chains(sampler, beta * energy, 0.1 * jax.random.normal(start, (CHAINS, dim)))
    sampler, chains = window_warm_up(warm, sampler, beta * energy, chains, 600, accept)
    _, found = sample(run, sampler, beta * energy, chains, draws, burn_in=100)
    seen = jax.jit(jax.vmap(lambda xs: jax.vmap(statistic)(xs).mean(0)))(found.x)
    return np.asarray(seen, np.float64), np.asarray(truth)


def judge(means, truth):
    """-> the largest error in standard errors over its limit, and the least p-value over its limit's reciprocal."""
    off = (means.mean(0) - truth) / (means.std(0, ddof=1) / np.sqrt(len(means)))
    scaled = (means - truth) / means.std(0, ddof=1)
    law = [stats.kstest(column, "norm").pvalue for column in scaled.T]
    SPENT.append(RATE)
    return np.max(np.abs(off)) / reach(len(truth), len(means) - 1), min(law) * len(truth) / RATE


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("target", TARGETS)
def test_chain_means_are_exact_within_their_scatter(target, kernel):
    error, law = judge(*chain_means(target, kernel))
    assert error < 1.0
    assert law > 1.0


def test_a_wrong_temperature_is_seen():
    error, _ = judge(*chain_means("phi^4, 16 sites", "hmc", beta=1.1))
    assert error > 1.0
