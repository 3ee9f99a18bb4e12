"""Preconditioned ULA against the covariance (A - h A M A / 2)^-1, in float64 and without sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import FunctionEnergy
from energax.numerics import normal_like
from energax.samplers import ULA, PreconditionedULA, advance, init_chains
from samplers.linear import PRECISION, stationary, well

M = np.array([1.5, 0.4])


def law(sampler):
    energy = FunctionEnergy(well)

    def step(key, z):
        return np.asarray(sampler.step(key, energy, sampler.init(energy, jnp.asarray(z)))[0].x)

    return stationary(step, lambda key: np.asarray(normal_like(key, jnp.zeros(2))), 2)


def judge_covariance(covariance, h, m):
    exact = np.linalg.inv(PRECISION - 0.5 * h * PRECISION @ np.diag(m) @ PRECISION)
    np.testing.assert_allclose(covariance, exact, rtol=1e-10)


def test_the_covariance_on_a_gaussian_is_that_of_the_docstring():
    judge_covariance(law(PreconditionedULA(0.3, M)), 0.3, M)
    judge_covariance(law(PreconditionedULA(0.3, 0.7)), 0.3, np.full(2, 0.7))
    judge_covariance(law(ULA(0.3)), 0.3, np.ones(2))


def test_noise_without_the_root_is_caught():
    def planted(key, z):
        xi = np.asarray(normal_like(key, jnp.zeros(2)))
        return z - 0.3 * M * (PRECISION @ z) + np.sqrt(0.6) * M * xi

    covariance = stationary(planted, lambda key: np.asarray(normal_like(key, jnp.zeros(2))), 2)
    with pytest.raises(AssertionError, match="rtol=1e-10"):
        judge_covariance(covariance, 0.3, M)


def test_the_preconditioner_is_a_tree_like_x_or_a_prefix():
    energy = FunctionEnergy(lambda x: well(x if hasattr(x, "shape") else jnp.concatenate([x["a"], x["b"]])))
    ends = []
    for preconditioner in (jnp.asarray(M), {"a": 1.5, "b": jnp.array([0.4])}):
        x = jnp.ones(2) if hasattr(preconditioner, "shape") else {"a": jnp.ones(1), "b": jnp.ones(1)}
        sampler = PreconditionedULA(0.3, preconditioner)
        xs = jax.tree.map(lambda leaf: leaf[None], x)
        chains, _ = advance(jax.random.key(0), sampler, energy, init_chains(sampler, energy, xs), 3)
        ends.append(np.concatenate(jax.tree.leaves(jax.tree.map(np.ravel, chains.states.x))))
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-6)


def test_refusals():
    energy = FunctionEnergy(well)
    for call, message in (
        (lambda: PreconditionedULA(0.0, 1.0), "PreconditionedULA.step_size must be > 0; got 0.0"),
        (
            lambda: PreconditionedULA(0.1, jnp.array([1.0, -1.0])),
            "PreconditionedULA.preconditioner must be > 0; got an",
        ),
        (
            lambda: PreconditionedULA(0.1, jnp.ones(3)).step(
                jax.random.key(0), energy, PreconditionedULA(0.1, 1.0).init(energy, jnp.zeros(2))
            ),
            r"a leaf's shape \(2,\); got shape \(3,\)",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()
