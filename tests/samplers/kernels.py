"""Small kernels of spins for tests of what runs around a kernel."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from energax.core import AbstractSampler
from energax.numerics import uniforms
from energax.samplers.mala import MALAInfo


class Place(NamedTuple):
    x: jax.Array


class Flip(AbstractSampler):
    """One spin at random from its heat bath."""

    def init(self, energy, x):
        return Place(x)

    def refresh(self, energy, state):
        return state

    def step(self, key, energy, state):
        which, level = uniforms(key, (2,))
        site = (which * state.x.shape[0]).astype(jnp.int32)
        up, down = state.x.at[site].set(1.0), state.x.at[site].set(-1.0)
        x = jnp.where(level < jax.nn.sigmoid(energy(down) - energy(up)), up, down)
        return Place(x), MALAInfo(energy(x), jnp.ones(()), ~jnp.isfinite(energy(x)))


class Still(Flip):
    """Never moves: what is left of a step is what stands around the kernel."""

    def step(self, key, energy, state):
        return state, MALAInfo(energy(state.x), jnp.ones(()), jnp.array(False))
