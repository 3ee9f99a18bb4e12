"""A kernel under a mass: equal to the kernel in coordinates of one's own, exact, and its planted bug."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import FunctionEnergy
from energax.numerics import normal_like
from energax.samplers import HMC, MALA, ULA, GeneralisedHMC, Whitened, advance, init_chains, with_step_size
from judges import TARGETS, judge_invariance, refuses

FACTOR = jnp.array([[2.0, 0.0], [0.5, 0.1]])
ENERGY = FunctionEnergy(lambda x: jnp.sum((x**2 - 1.0) ** 2) + 0.5 * x[0] * x[1])


def test_a_mass_is_a_linear_map():
    """HMC with p ~ N(0, M), drift M^-1 p and M^-1 = S S', written out with the momentum of the textbook; float64."""
    with jax.enable_x64(True):
        factor, key, x = FACTOR.astype(float), jax.random.key(3), jnp.array([0.3, -0.9])
        sampler = Whitened(HMC(0.1, 7), factor)
        new, info = sampler.step(key, ENERGY, sampler.init(ENERGY, x))
        p = jnp.linalg.solve(factor.T, normal_like(key, x))
        inverse_mass, force = factor @ factor.T, jax.grad(ENERGY)
        at, start = x, p
        for _ in range(7):
            p = p - 0.05 * force(at)
            at = at + 0.1 * inverse_mass @ p
            p = p - 0.05 * force(at)
        error = ENERGY(at) - ENERGY(x) + 0.5 * p @ inverse_mass @ p - 0.5 * start @ inverse_mass @ start
        np.testing.assert_allclose(info.energy_error, error, atol=1e-12)
        np.testing.assert_allclose(new.x, at, atol=1e-12)  # accepted


def test_it_is_the_kernel_on_the_target_as_seen_from_y():
    xs = jax.random.normal(jax.random.key(0), (8, 2))
    sampler = Whitened(MALA(0.3), FACTOR)
    there, _ = advance(jax.random.key(1), sampler, ENERGY, init_chains(sampler, ENERGY, xs), 20)
    seen = FunctionEnergy(lambda y: ENERGY(FACTOR @ y))
    ys = jnp.linalg.solve(FACTOR, xs.T).T
    here, _ = advance(jax.random.key(1), MALA(0.3), seen, init_chains(MALA(0.3), seen, ys), 20)
    np.testing.assert_allclose(there.states.x, here.states.x @ FACTOR.T, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(there.states.energy, jax.vmap(ENERGY)(there.states.x), rtol=1e-4, atol=1e-4)


def test_another_scale_keeps_the_chains_where_they_are_and_their_momenta():
    first, second = Whitened(GeneralisedHMC(0.2), jnp.array([0.5, 1.0])), Whitened(GeneralisedHMC(0.2), FACTOR)
    state, _ = first.step(jax.random.key(0), ENERGY, first.init(ENERGY, jnp.array([0.5, -0.5])))
    moved = second.refresh(ENERGY, state)
    np.testing.assert_allclose(moved.x, state.x, rtol=1e-6)
    np.testing.assert_array_equal(moved.inner.momentum, state.inner.momentum)


def test_a_scale_that_depends_on_where_the_chain_is_is_caught():
    """The planted bug: a map that is not linear has a volume factor, which E(S y) does not know."""

    class Bent(Whitened):
        def _colour(self, y):
            return jnp.sinh(y)

        def _whiten(self, flat):
            return jnp.arcsinh(flat)

    truth = TARGETS["tilted well, beta 2"]()
    judge_invariance(Whitened(HMC(0.5, 3), 0.7), truth)
    with pytest.raises(AssertionError, match="standard errors off"):
        judge_invariance(Bent(HMC(0.3, 3), 0.7), truth)


def test_what_the_kernel_says_is_handed_on():
    assert Whitened(MALA(0.1), 2.0).exact
    assert not Whitened(ULA(0.1), 2.0).exact
    assert with_step_size(Whitened(MALA(0.1), 2.0), 0.4).kernel.step_size == 0.4


def test_refusals():
    three = Whitened(MALA(0.1), jnp.ones(3))
    for call, message in (
        (lambda: Whitened(MALA(0.1), 0.0), "Whitened.scale must be > 0; got 0.0"),
        (lambda: Whitened(MALA(0.1), jnp.array([1.0, -1.0])), "Whitened.scale must be > 0; got an array"),
        (lambda: Whitened(MALA(0.1), jnp.ones((2, 3))), r"must be a number, \[d\] or \[d, d\]; got shape \(2, 3\)"),
        (lambda: Whitened(MALA(0.1), jnp.ones((2, 2))), "must be lower triangular with a diagonal > 0"),
        (lambda: Whitened(ENERGY, 1.0), "Whitened.kernel must be a sampler; got FunctionEnergy"),
        (lambda: three.init(ENERGY, jnp.zeros(2)), r"must fit x, which holds 2 numbers; got shape \(3,\)"),
    ):
        with refuses(message):
            call()
