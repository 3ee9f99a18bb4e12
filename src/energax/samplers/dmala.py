"""The discrete Metropolis-adjusted Langevin algorithm: all sites move at once, and a test corrects them.

Source: Zhang, Liu and Liu (2022), A Langevin-like sampler for discrete distributions, arXiv:2206.09914, alg. 1.
What differs: spins, bits and categories by one rule; a proposal whose energy or gradient is not finite is rejected, and
    the chain flagged `divergent`.
Leaves p(x) ~ exp(-E(x)) exactly invariant (detailed balance). Cost: one gradient a step, the current point's is cached.
Tune to an acceptance of about 0.574. Fails by standing still where the step is so large that sites that act on each
other turn at once, and by walking one site at a time where it is small.
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Key, X, checks
from energax.numerics.random import categorical, uniform
from energax.numerics.tree import all_finite, where

from .sites import AbstractSites, check_sites


class DMALAState(NamedTuple):
    """Where the chain is, with E(x) and grad E(x): `refresh` renews both when the energy has changed."""

    x: X
    energy: Scalar
    gradient: X


class DMALAInfo(NamedTuple):
    """Energy after the step [nats], probability of acceptance, and whether the proposal was not finite."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]


class DMALA(AbstractSampler):
    """Proposes for every site y_i ~ softmax_y(-grad E(x)_i (y - x_i) / 2 - |y - x_i|^2 / (2 alpha)), independently, and
    accepts the whole with min(1, p(y) q(x | y) / (p(x) q(y | x))).

    Args:
        sites: What values a site takes: `SPINS`, `BITS` or `CATEGORIES`.
        step_size: alpha, in squared units of x, > 0. A change of one site is 4 for spins, 1 for bits, 2 for categories.

    Raises:
        ValueError: `sites` is no kind of site, or `step_size` not a positive number.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> from energax.samplers import SPINS
        >>> energy = FunctionEnergy(lambda x: -9.0 * jnp.sum(x))
        >>> sampler = DMALA(SPINS, 2.0)
        >>> state, info = sampler.step(jax.random.key(0), energy, sampler.init(energy, -jnp.ones(3)))
        >>> state.x.tolist()  # all at once
        [1.0, 1.0, 1.0]
    """

    reversible: ClassVar[bool] = True
    sites: AbstractSites
    step_size: float | Scalar

    def __check_init__(self):
        check_sites("DMALA", self.sites)
        checks.positive("DMALA", "step_size", self.step_size, ndim=0)

    def init(self, energy: AbstractEnergy, x: X) -> DMALAState:
        value, gradient = jax.value_and_grad(energy)(x)
        return DMALAState(x, value, gradient)

    def refresh(self, energy: AbstractEnergy, state: DMALAState) -> DMALAState:
        return self.init(energy, state.x)

    def proposal(self, state: DMALAState) -> Float[Array, "sites states"]:
        """log q of every state of every site."""
        gain, far = self.sites.logits(state.x, state.gradient), self.sites.squared_steps(state.x)
        return jax.nn.log_softmax(0.5 * (gain - far / jnp.asarray(self.step_size, far.dtype)), axis=-1)

    def step(self, key: Key, energy: AbstractEnergy, state: DMALAState) -> tuple[DMALAState, DMALAInfo]:
        there, level = self.proposal(state), uniform(key)  # disjoint blocks of one key
        drawn = categorical(key, there)
        new = self.init(energy, self.sites.embed(drawn, state.x))
        ahead, back = _total(there, drawn), _total(self.proposal(new), self.sites.codes(state.x))
        log_ratio = state.energy - new.energy + (back - ahead).astype(state.energy.dtype)
        finite = jnp.isfinite(new.energy) & all_finite(new.gradient) & ~jnp.isnan(log_ratio)
        acceptance = jnp.where(finite, jnp.exp(jnp.minimum(log_ratio, 0.0)), 0.0)
        state = where(level.astype(acceptance.dtype) < acceptance, new, state)
        return state, DMALAInfo(state.energy, acceptance, ~finite)


def _total(log_probabilities: Float[Array, "sites states"], codes: Int[Array, " sites"]) -> Scalar:
    """log of the probability that every site takes the state `codes`."""
    return jnp.sum(jnp.take_along_axis(log_probabilities, codes[:, None], axis=1))
