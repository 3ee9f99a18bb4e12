"""Moving walkers and gathering the gradient in chunks change no number: loss, metrics, gradient, a remainder too."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import AbstractEnergy
from energax.energies import NetworkEnergy, standard_normal
from energax.networks import MLP
from energax.objectives import (
    ContrastiveDivergence,
    DenoisingScoreMatching,
    MultiscaleDenoising,
    PersistentCD,
    ShortRun,
    TemperedPCD,
)
from energax.samplers import HMC, MALA, ULA, ParallelTempering, advance, init_chains

KEY = jax.random.key(0)
LADDER = ParallelTempering(ULA(0.01), jnp.array([1.0, 0.5]))
RULES = {
    "cd": lambda chunk: ContrastiveDivergence(ULA(0.01), 2, energy_penalty=0.1, chunk_size=chunk),
    "pcd": lambda chunk: PersistentCD(ULA(0.01), 2, 6, chunk_size=chunk),
    "pcd-penalty": lambda chunk: PersistentCD(ULA(0.01), 2, 6, energy_penalty=0.1, chunk_size=chunk),
    "pcd-mala": lambda chunk: PersistentCD(MALA(0.1), 3, 6, adapt_target=0.6, chunk_size=chunk),
    "short-run": lambda chunk: ShortRun(HMC(0.1, 2), 2, 6, chunk_size=chunk),
    "tempered": lambda chunk: TemperedPCD(LADDER, 2, 6, chunk_size=chunk),
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


@pytest.mark.parametrize("num_steps", [1, 4])
def test_chains_walk_in_chunks_as_side_by_side(num_steps):
    """Chain by chain the same walk, a condition and a remainder included."""
    net = MLP(3, 8, 1, zero_last=False, key=KEY)

    class Given(AbstractEnergy):
        net: MLP

        def __call__(self, x, cond=None):
            return 0.5 * jnp.sum(x**2) + self.net(jnp.concatenate([x, cond[None]]))

    energy, cond = Given(net), jnp.linspace(0.0, 1.0, 7)
    chains = init_chains(MALA(0.3), energy, jax.random.normal(KEY, (7, 2)), cond)
    whole = advance(jax.random.key(1), MALA(0.3), energy, chains, num_steps, cond)
    parts = advance(jax.random.key(1), MALA(0.3), energy, chains, num_steps, cond, chunk_size=3)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), whole, parts)
    assert not np.allclose(whole[0].states.x, chains.states.x)
    with pytest.raises(ValueError, match="chunk_size must be an integer >= 1; got 0"):
        advance(jax.random.key(1), MALA(0.3), energy, chains, num_steps, cond, chunk_size=0)
