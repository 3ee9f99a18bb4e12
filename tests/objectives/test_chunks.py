"""Gathering the gradient in chunks changes no number: loss, metrics and gradient, a remainder included."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.energies import NetworkEnergy, standard_normal
from energax.networks import MLP
from energax.objectives import ContrastiveDivergence, DenoisingScoreMatching, MultiscaleDenoising, PersistentCD
from energax.samplers import ULA

KEY = jax.random.key(0)
RULES = {
    "cd": lambda chunk: ContrastiveDivergence(ULA(0.01), 2, energy_penalty=0.1, chunk_size=chunk),
    "pcd": lambda chunk: PersistentCD(ULA(0.01), 2, 6, chunk_size=chunk),
    "pcd-penalty": lambda chunk: PersistentCD(ULA(0.01), 2, 6, energy_penalty=0.1, chunk_size=chunk),
    "dsm": lambda chunk: DenoisingScoreMatching(0.3, chunk),
    "multiscale": lambda chunk: MultiscaleDenoising((0.1, 0.3), chunk_size=chunk),
}


@pytest.mark.parametrize("make", RULES.values(), ids=RULES)
def test_chunks_change_no_number(make):
    net = MLP(2, 8, 1, zero_last=False, key=KEY)
    model, batch = NetworkEnergy(net, standard_normal(2)), {"x": jax.random.normal(KEY, (10, 2))}

    def turn(chunk):
        rule = make(chunk)
        state = rule.init(jax.random.key(1), model, batch)
        loss = eqx.filter_value_and_grad(lambda m: rule(jax.random.key(2), m, state, batch), has_aux=True)
        (value, (_, metrics)), gradient = eqx.filter_jit(loss)(model)
        return value, metrics, jax.tree.leaves(eqx.filter(gradient, eqx.is_inexact_array))

    whole, parts = turn(None), turn(4)
    assert sum(float(jnp.sum(leaf**2)) for leaf in whole[2]) > 0
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("make", RULES.values(), ids=RULES)
def test_a_chunk_of_nothing_is_refused(make):
    with pytest.raises(ValueError, match="chunk_size must be an integer >= 1; got 0"):
        make(0)
