"""Sites: codes and samples are each other's inverse, and first-order logits are exact for multilinear energies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.samplers import (
    BITS,
    CATEGORIES,
    DMALA,
    DULA,
    SPINS,
    Gibbs,
    GibbsWithGradients,
    RandomScanGibbs,
    SiteMetropolis,
)

rng = np.random.default_rng(0)
COUPLING = jnp.asarray(np.triu(rng.normal(size=(5, 5)), 1), jnp.float32)
POTTS = jnp.asarray(np.triu(rng.normal(size=(4, 4)), 1), jnp.float32)


def binary(x):
    flat = jnp.concatenate([x["a"].ravel(), x["b"].ravel()])
    return flat @ COUPLING @ flat + jnp.sum(flat * jnp.arange(5.0))


def potts(x):
    return jnp.sum(POTTS * (x @ x.T)) + jnp.sum(x * jnp.arange(12.0).reshape(4, 3))


CASES = {
    "spins": (SPINS, binary, {"a": jnp.zeros((2, 1)), "b": jnp.zeros(3)}, 2, 5),
    "bits": (BITS, binary, {"a": jnp.zeros((2, 1)), "b": jnp.zeros(3)}, 2, 5),
    "categories": (CATEGORIES, potts, jnp.zeros((4, 3)), 3, 4),
}


@pytest.mark.parametrize("name", CASES)
def test_codes_and_samples_are_inverse(name):
    sites, _, like, states, number = CASES[name]
    codes = jnp.asarray(rng.integers(0, states, number), jnp.int32)
    x = sites.embed(codes, like)
    np.testing.assert_array_equal(sites.codes(x), codes)
    assert sites.num_states(x) == states
    assert jax.tree.map(jnp.shape, x) == jax.tree.map(jnp.shape, like)


@pytest.mark.parametrize("name", CASES)
def test_logits_are_the_energy_differences(name):
    sites, energy, like, states, number = CASES[name]
    codes = jnp.asarray(rng.integers(0, states, number), jnp.int32)
    x = sites.embed(codes, like)
    found = sites.logits(x, jax.grad(energy)(x))
    for i in range(number):
        for k in range(states):
            change = energy(sites.embed(codes.at[i].set(k), like)) - energy(x)
            np.testing.assert_allclose(found[i, k], -change, atol=2e-5)


@pytest.mark.parametrize("kernel", [Gibbs, GibbsWithGradients, RandomScanGibbs, SiteMetropolis, DULA, DMALA])
def test_a_word_is_no_kind_of_site(kernel):
    made = kernel(SPINS, 1.0) if kernel in (DULA, DMALA) else kernel(SPINS)
    object.__setattr__(made, "sites", "spins")  # the hook on types, which users do not have, would come first
    with pytest.raises(ValueError, match=rf"{kernel.__name__}\.sites must be SPINS, .* AbstractSites; got 'spins'"):
        made.__check_init__()
