"""Random-walk Metropolis against closed forms: its acceptance, its step's law, a bounded support."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import FunctionEnergy
from energax.numerics import normal_like
from energax.samplers import RandomWalk, advance, init_chains, random_walk
from judges import _z, bounded, judge_acceptance, judge_moments, target, verdict


def one_jump(width, start=0.7, num=100_000):
    """The moments of one step from one point of a skewed density, against quadrature of alpha(x, y) q(y | x)."""
    gumbel = FunctionEnergy(lambda x: jnp.sum(x + jnp.exp(-x)))
    y = np.linspace(start - 10.0 * width, start + 10.0 * width, 100_001)
    q = np.exp(-0.5 * ((y - start) / width) ** 2) / (width * np.sqrt(2 * np.pi))
    accepted = np.minimum(1.0, np.exp(start + np.exp(-start) - y - np.exp(-y))) * q
    chains = init_chains(RandomWalk(width), gumbel, jnp.full((num, 1), start))
    chains, info = advance(jax.random.key(2), RandomWalk(width), gumbel, chains, 1)
    jump = np.asarray(chains.states.x[:, 0], np.float64) - start
    scores = {f"jump^{k}": _z(jump**k, float(np.trapezoid(accepted * (y - start) ** k, y))) for k in (1, 2, 3)}
    scores["acceptance"] = _z(np.asarray(info.acceptance, np.float64), float(np.trapezoid(accepted, y)))
    return verdict("one jump", scores)


@pytest.mark.parametrize("width", [0.5, 2.38])
def test_acceptance_on_a_gaussian(width):
    """(2 / pi) arctan(2 / s) on N(0, 1)."""
    judge_acceptance(RandomWalk(width), 2 / np.pi * np.arctan(2 / width))


def test_proposals_have_the_law_that_the_ratio_assumes():
    one_jump(1.3)


def test_a_proposal_of_another_width_is_caught(monkeypatch):
    """Symmetric, and so invariant: only the law of a jump and the acceptance see a step_size that became its root."""
    monkeypatch.setattr(random_walk, "normal_like", lambda key, x: 1.1**-0.5 * normal_like(key, x))
    with pytest.raises(AssertionError, match="standard errors off"):
        one_jump(1.1, num=90_000)  # a number of chains that nothing was compiled for before
    with pytest.raises(AssertionError, match="judge_acceptance"):
        judge_acceptance(RandomWalk(1.1), 2 / np.pi * np.arctan(2 / 1.1), num_chains=90_000)


def test_a_bounded_support_is_respected():
    truth = target(bounded, -0.999999, 0.999999)
    exact = {
        "x": (lambda x: x[0], 0.0),
        "x^2": (lambda x: x[0] ** 2, truth.mean(lambda x: x[0] ** 2)),
        "x^4": (lambda x: x[0] ** 4, truth.mean(lambda x: x[0] ** 4)),
    }
    judge_moments(RandomWalk(0.6), bounded, exact, truth.sample(1, 2000), burn_in=20, num_samples=60)


def test_refusals():
    with pytest.raises(ValueError, match=r"RandomWalk.step_size must be > 0; got -1"):
        RandomWalk(-1.0)
