"""The inverse Ising problem on a 4 x 4 torus: 32 couplings and 16 fields from 5,000 samples; enumerable."""

from functools import cache

import jax.numpy as jnp
import numpy as np

from energax.core import AbstractEnergy
from energax.energies import IndependentSpins, Ising, lattice_edges
from energax.energies.enumeration import state_blocks
from energax.evaluation import energy_values
from energax.samplers import SPINS, CheckerboardGibbs, colouring

from ..problem import Problem
from ..states import States

TITLE = "4 x 4 Ising torus, couplings and fields from 5,000 samples"
SITES, TRAIN, HELDOUT = 16, 5_000, 5_000


def make(seed: int) -> Problem:
    """Couplings of standard deviation .5 and fields of .2, the same for every seed; exact answers by 65,536 states."""
    truth = _truth()
    start = Ising(lattice_edges((4, 4)), 0.0, jnp.zeros(SITES))

    def model(key: object) -> AbstractEnergy:
        return start

    return Problem(
        train=truth.draw(truth.chances, TRAIN, [seed, 1]),
        heldout=truth.draw(truth.chances, HELDOUT, [10**6]),
        foreign=truth.draw(np.ones(len(truth.states)), HELDOUT, [5]),
        model=model,
        base=IndependentSpins(jnp.zeros(SITES)),
        noise=lambda: IndependentSpins(jnp.zeros(SITES)),
        kernel=CheckerboardGibbs(SPINS, colouring(lattice_edges((4, 4)), SITES)),
        look=truth.look,
        step_cost=2,
        sites=SPINS,
        linear=True,
        nodes=lambda: (jnp.asarray(truth.states), None),
        budget=4_000_000,
        rate=2e-2,
        limit_steps=300,
    )


@cache
def _truth() -> States:
    states = np.concatenate(list(state_blocks(SITES))).astype(np.float32)
    rng, edges = np.random.default_rng(4), lattice_edges((4, 4))
    strengths, fields = 0.5 * rng.standard_normal(len(edges)), 0.2 * rng.standard_normal(SITES)
    energy = Ising(edges, jnp.asarray(strengths, jnp.float32), jnp.asarray(fields, jnp.float32))
    values = energy_values(energy, states, batch_size=8192)
    chances = np.exp(values.min() - values)
    return States(states, chances / chances.sum(), np.zeros(0, int))
