"""The discrete unadjusted Langevin algorithm: all sites move at once, uncorrected.

Source: Zhang, Liu and Liu (2022), A Langevin-like sampler for discrete distributions, arXiv:2206.09914, eq. (4).
What differs: spins, bits and categories by one rule.
Leaves nothing exactly invariant. Where the energy is linear in every site the bias comes from sites that turn at once
and falls as exp(-D^2 / (2 alpha)), D^2 the square of a change of one site (4 for spins, 1 for bits, 2 for categories);
so does the rate of moving. For any other energy a bias stays as alpha -> 0: the gradient is not the difference.
Cost: one gradient a step. Fails silently where the step is large or the energy curved; `DMALA` does not.
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Key, X, checks
from energax.numerics.random import categorical
from energax.numerics.tree import all_finite

from .sites import AbstractSites, check_sites


class DULAState(NamedTuple):
    """Where the chain is; nothing is cached."""

    x: X


class DULAInfo(NamedTuple):
    """Energy before the step [nats]; acceptance is 1, there is no test; whether energy or gradient was not finite."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]


class DULA(AbstractSampler):
    """For every site x_i' ~ softmax_y(-grad E(x)_i (y - x_i) / 2 - |y - x_i|^2 / (2 alpha)), independently.

    Args:
        sites: What values a site takes: `SPINS`, `BITS` or `CATEGORIES`.
        step_size: alpha, in squared units of x, > 0. A change of one site is 4 for spins, 1 for bits, 2 for categories.

    Raises:
        ValueError: `sites` is no kind of site, or `step_size` not a positive number.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> from energax.samplers import SPINS
        >>> energy = FunctionEnergy(lambda x: -9.0 * jnp.sum(x))
        >>> sampler = DULA(SPINS, 2.0)
        >>> state, info = sampler.step(jax.random.key(0), energy, sampler.init(energy, -jnp.ones(3)))
        >>> state.x.tolist()
        [1.0, 1.0, 1.0]
    """

    exact: ClassVar[bool] = False
    sites: AbstractSites
    step_size: float | Scalar

    def __check_init__(self):
        check_sites("DULA", self.sites)
        checks.positive("DULA", "step_size", self.step_size, ndim=0)

    def init(self, energy: AbstractEnergy, x: X) -> DULAState:
        return DULAState(x)

    def refresh(self, energy: AbstractEnergy, state: DULAState) -> DULAState:
        return state

    def proposal(self, x: X, gradient: X) -> Float[Array, "sites states"]:
        """log of the probability of every state of every site after the step."""
        gain, far = self.sites.logits(x, gradient), self.sites.squared_steps(x)
        return jax.nn.log_softmax(0.5 * (gain - far / jnp.asarray(self.step_size, far.dtype)), axis=-1)

    def step(self, key: Key, energy: AbstractEnergy, state: DULAState) -> tuple[DULAState, DULAInfo]:
        value, gradient = jax.value_and_grad(energy)(state.x)
        finite = jnp.isfinite(value) & all_finite(gradient)
        drawn = self.sites.embed(categorical(key, self.proposal(state.x, gradient)), state.x)
        x = jax.tree.map(lambda new, old: jnp.where(finite, new, old), drawn, state.x)
        return DULAState(x), DULAInfo(value, finite.astype(value.dtype), ~finite)
