"""Terms of pair energies give back their energy, up to a constant, whatever the algebra has made of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import FunctionEnergy, pair_terms
from energax.energies import Ising, Potts

rng = np.random.default_rng(0)
PAIRS = np.array([[0, 1], [1, 2], [0, 2], [0, 1]])


def normal(*shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


ISING = Ising(PAIRS, normal(4), normal(3))
POTTS = Potts(PAIRS, normal(4), normal(3, 3))
ENERGIES = {
    "ising": ISING,
    "tempered": 0.3 * ISING,
    "sum": ISING + 0.5 * Ising(PAIRS[:2], normal(2), normal(3)),
    "given": (2.0 * ISING).given(None),
    "potts": POTTS,
    "potts, all": 0.7 * (POTTS + 2.0 * POTTS).given(None),
}


@pytest.mark.parametrize("name", ENERGIES)
def test_the_terms_are_the_energy_up_to_a_constant(name):
    energy, terms = ENERGIES[name], pair_terms(ENERGIES[name])
    kinds = terms.fields.shape[1]
    codes = np.stack(np.meshgrid(*[np.arange(kinds)] * 3, indexing="ij"), -1).reshape(-1, 3)
    xs = 2.0 * codes - 1.0 if kinds == 2 else np.eye(kinds)[codes]
    values = np.asarray(jax.vmap(energy)(jnp.asarray(xs, jnp.float32)))
    pairs = np.asarray(terms.pairs)
    agree = (codes[:, pairs[:, 0]] == codes[:, pairs[:, 1]]) @ np.asarray(terms.agreement)
    fields = np.asarray(terms.fields)[np.arange(3), codes].sum(1)
    apart = -agree - fields
    np.testing.assert_allclose(values - values.mean(), apart - apart.mean(), atol=1e-5)
    assert values.std() > 0.1


def test_refuses_what_is_no_sum_over_pairs():
    for wrong in (FunctionEnergy(lambda x: jnp.sum(x)), ISING + FunctionEnergy(lambda x: jnp.sum(x))):
        with pytest.raises(ValueError, match=r"sum over pairs of sites \(an AbstractPairEnergy\); got FunctionEnergy"):
            pair_terms(wrong)
