"""3 x 3 bars and stripes, all fourteen equally likely, for a Boltzmann machine with six hidden units; enumerable."""

import jax
import jax.numpy as jnp
import numpy as np

from energax.core import AbstractEnergy, Key
from energax.energies import BernoulliRBM, IndependentBits, bars_and_stripes
from energax.energies.enumeration import state_blocks
from energax.samplers import BITS, BlockGibbs

from ..problem import Problem
from ..states import States

TITLE = "3 x 3 bars and stripes, machine of 9 and 6 units"
HIDDEN, TRAIN = 6, 5_000


def make(seed: int) -> Problem:
    """5,000 draws of the fourteen patterns; exact answers by the 512 states."""
    truth = _truth()

    def model(key: Key) -> AbstractEnergy:
        return BernoulliRBM(0.1 * jax.random.normal(key, (9, HIDDEN)), jnp.zeros(9), jnp.zeros(HIDDEN))

    foreign = truth.draw(np.ones(512), 2000, 5)
    return Problem(
        train=truth.draw(truth.chances, TRAIN, [seed, 1]),
        heldout=np.repeat(truth.states[truth.modes], 100, axis=0),
        foreign=foreign,
        model=model,
        base=IndependentBits(jnp.zeros(9)),
        noise=lambda: IndependentBits(jnp.zeros(9)),
        kernel=BlockGibbs(),
        look=truth.look,
        sites=BITS,
        nodes=lambda: (jnp.asarray(truth.states), None),
        budget=60_000_000,
        rate=2e-2,
        limit_steps=10_000,
    )


def _truth() -> States:
    states = np.concatenate(list(state_blocks(9, 0.0, 1.0))).astype(np.float32)
    patterns = np.asarray(bars_and_stripes(3), np.float32)
    modes = np.array([int(np.flatnonzero(np.all(states == row, axis=1))[0]) for row in patterns])
    chances = np.zeros(len(states))
    chances[modes] = 1.0 / len(modes)
    return States(states, chances, modes)
