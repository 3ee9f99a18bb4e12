"""Tamed ULA against its recursion, the law of its own discretisation, and the start from which ULA blows up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import FunctionEnergy
from energax.numerics import normal_like
from energax.samplers import ULA, TamedULA, advance, init_chains
from judges import _z, verdict

H = 0.1
GRID = np.linspace(-5.0, 5.0, 801)


def quartic(x):
    return jnp.sum(0.25 * x**4 + 0.5 * x)


def tamed_law():
    """Stationary law on the grid, of x' ~ N(x - h g / (1 + h |g|), 2 h), by powers of its transfer matrix."""
    slope = GRID**3 + 0.5
    centre = GRID - H * slope / (1 + H * np.abs(slope))
    matrix = np.exp(-((GRID[None, :] - centre[:, None]) ** 2) / (4 * H))
    matrix /= matrix.sum(1, keepdims=True)
    for _ in range(9):
        matrix = matrix @ matrix
    return matrix[400] / matrix[400].sum()


def judge_law(sampler):
    """100,000 chains from exact draws of the discretised law keep it: 4 standard errors."""
    p = tamed_law()
    start = np.random.default_rng(0).choice(GRID, p=p, size=(100_000, 1))
    chains = init_chains(sampler, quartic, jnp.asarray(start, jnp.float32))
    chains, _ = advance(jax.random.key(1), sampler, quartic, chains, 10)
    x = np.asarray(chains.states.x[:, 0], np.float64)
    verdict("the law of tamed ULA", {f"x^{k}": _z(x**k, float(p @ GRID**k)) for k in (1, 2, 3, 4)})


def test_the_chain_has_the_law_of_its_discretisation():
    judge_law(TamedULA(H))


def test_a_drift_that_is_not_tamed_is_caught():
    with pytest.raises(AssertionError, match="the law of tamed ULA"):
        judge_law(ULA(H))


def test_the_norm_is_that_of_the_whole_sample():
    with jax.enable_x64(True):
        x, energy = {"a": jnp.array([1.0, -2.0]), "b": jnp.array(3.0)}, lambda x: jnp.sum(x["a"] ** 4) - x["b"] ** 3
        key = jax.random.key(0)
        sampler, whole = TamedULA(0.2), FunctionEnergy(energy)
        new, _ = sampler.step(key, whole, sampler.init(whole, x))
        g, xi = np.array([4.0, -32.0, -27.0]), normal_like(key, x)
        expected = np.array([1.0, -2.0, 3.0]) - 0.2 * g / (1 + 0.2 * np.linalg.norm(g))
        expected += np.sqrt(0.4) * np.append(xi["a"], xi["b"])
        np.testing.assert_allclose(np.append(new.x["a"], new.x["b"]), expected, rtol=1e-14)


def test_a_steep_start_is_survived_and_a_norm_that_overflows_is_flagged():
    far = jnp.full((16, 1), 30.0)
    ends = {}
    for sampler in (TamedULA(0.01), ULA(0.01)):
        chains, info = advance(jax.random.key(0), sampler, quartic, init_chains(sampler, quartic, far), 400)
        ends[type(sampler).__name__] = chains.states.x, info.divergent
    assert float(jnp.abs(ends["TamedULA"][0]).max()) < 4.0
    assert not bool(ends["TamedULA"][1].any())
    assert bool(ends["ULA"][1].all())
    _, info = advance(
        jax.random.key(0), TamedULA(0.01), quartic, init_chains(TamedULA(0.01), quartic, jnp.full((16, 2), 1e9)), 1
    )
    assert bool(info.divergent.all())


def test_refusals():
    with pytest.raises(ValueError, match=r"TamedULA.step_size must be > 0; got -1"):
        TamedULA(-1.0)
