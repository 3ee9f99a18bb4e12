"""DULA's bias, from its own transition matrix: exponentially small in 1 / alpha for pair energies, not for others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contracts.discrete import TARGETS, truth
from energax.samplers import DULA
from enumerated import fresh, run, whole, wide
from judges import reach


def matrix(target, step_size):
    """[from, to] of the kernel itself, and the law that it leaves invariant."""
    at, kernel = truth(target), DULA(TARGETS[target].sites, step_size)
    with jax.enable_x64(True):
        energy, xs = wide(at.energy), jnp.asarray(at.states, jnp.float64)
        found = whole(jax.vmap(lambda x: kernel.proposal(x, jax.grad(energy)(x)))(xs), at.codes)
    size = len(at.states)
    system = np.vstack([found.T - np.eye(size), np.ones(size)])
    return found, np.linalg.lstsq(system, np.append(np.zeros(size), 1.0))[0], at.probabilities


def bias(target, step_size):
    """Total variation between the kernel's law and the target."""
    _, law, p = matrix(target, step_size)
    return 0.5 * np.abs(law - p).sum()


@pytest.mark.parametrize(("target", "square"), [("glass", 4.0), ("bits", 1.0), ("potts", 2.0)])
def test_the_bias_falls_as_exp_of_the_squared_change_over_two_alpha(target, square):
    alphas = square * np.array([0.2, 0.1, 0.07])
    found = np.array([bias(target, alpha) for alpha in alphas])
    slopes = np.diff(np.log(found)) / np.diff(-0.5 * square / alphas)
    assert np.all(found > 1e-7)
    np.testing.assert_allclose(slopes, 1.0, atol=0.06)
    assert bias(target, 2.0 * square) > 0.05


def test_an_energy_that_is_not_linear_keeps_a_bias():
    near, nearer = bias("curved", 0.06), bias("curved", 0.05)
    assert near == pytest.approx(nearer, rel=0.02)
    assert nearer > 0.03


def test_the_step_follows_the_matrix():
    """Counts after three steps against three powers of the matrix: chi-squared over all 32 states."""
    found, _, p = matrix("glass", 1.0)
    _, after = run(DULA(TARGETS["glass"].sites, 1.0), truth("glass"), runner=fresh)
    expected = len(after) * p @ np.linalg.matrix_power(found, 3)
    score = np.sum((np.bincount(after, minlength=len(p)) - expected) ** 2 / expected)
    assert abs(score - 31.0) < reach() * np.sqrt(62.0)
    assert 0.5 * np.abs(p @ found - p).sum() > 0.02  # the target is not what it keeps


def test_refusals():
    with pytest.raises(ValueError, match=r"DULA.step_size must be > 0; got -1"):
        DULA(TARGETS["glass"].sites, -1.0)
