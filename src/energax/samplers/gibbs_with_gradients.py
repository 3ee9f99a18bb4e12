"""Gibbs with gradients: the site to change is chosen by what the gradient says every change would gain.

Source: Grathwohl, Swersky, Hashemi, Duvenaud and Maddison (2021), Oops I took a gradient, arXiv:2102.04509, alg. 1;
    Zanella (2020), Informed proposals for local MCMC in discrete spaces, doi:10.1080/01621459.2019.1585255 (balancing).
What differs: spins, bits and categories by one rule, each move a site and one of its OTHER states; a proposal whose
    energy or gradient is not finite is rejected, and the chain flagged `divergent`.
Leaves p(x) ~ exp(-E(x)) exactly invariant (detailed balance), whether the gradient foresees the change (as it does,
exactly, where the energy is linear in every site) or not. Cost: one gradient a step, the current point's is cached, for
one site changed. Fails by standing still where the gradient says nothing of the energy at other states (steep
networks), and slowly in many dimensions: a move a gradient, where `DMALA` moves all sites at once.
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Key, X
from energax.numerics.random import categorical, uniform
from energax.numerics.tree import all_finite, where

from .sites import AbstractSites, check_sites


class GibbsWithGradientsState(NamedTuple):
    """Where the chain is, with E(x) and grad E(x): `refresh` renews both when the energy has changed."""

    x: X
    energy: Scalar
    gradient: X


class GibbsWithGradientsInfo(NamedTuple):
    """Energy after the step [nats], probability of acceptance, and whether the proposal was not finite."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]


class GibbsWithGradients(AbstractSampler):
    """Proposes that site i takes state s with probability ~ exp(d_is / 2), d_is = -(E(x') - E(x)) to first order, and
    accepts with min(1, p(y) q(x | y) / (p(x) q(y | x))).

    exp(d / 2) is the balancing function sqrt: the proposal is in balance with p up to its normaliser.

    Args:
        sites: What values a site takes: `SPINS`, `BITS` or `CATEGORIES`.

    Raises:
        ValueError: `sites` is no kind of site.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> from energax.samplers import SPINS
        >>> energy = FunctionEnergy(lambda x: -9.0 * jnp.sum(x))
        >>> sampler = GibbsWithGradients(SPINS)
        >>> state, info = sampler.step(jax.random.key(0), energy, sampler.init(energy, jnp.array([1.0, -1.0, 1.0])))
        >>> state.x.tolist()  # it knows where to go
        [1.0, 1.0, 1.0]
    """

    reversible: ClassVar[bool] = True
    sites: AbstractSites

    def __check_init__(self):
        check_sites("GibbsWithGradients", self.sites)

    def init(self, energy: AbstractEnergy, x: X) -> GibbsWithGradientsState:
        value, gradient = jax.value_and_grad(energy)(x)
        return GibbsWithGradientsState(x, value, gradient)

    def refresh(self, energy: AbstractEnergy, state: GibbsWithGradientsState) -> GibbsWithGradientsState:
        return self.init(energy, state.x)

    def proposal(self, state: GibbsWithGradientsState) -> Float[Array, "sites states"]:
        """log q of every move: that a site takes a state; -inf for the state it is in."""
        gain = self.sites.logits(state.x, state.gradient)
        here = self.sites.codes(state.x)[:, None] == jnp.arange(gain.shape[1], dtype=jnp.int32)[None, :]
        return jax.nn.log_softmax(jnp.where(here, -jnp.inf, 0.5 * gain), axis=None)

    def step(
        self, key: Key, energy: AbstractEnergy, state: GibbsWithGradientsState
    ) -> tuple[GibbsWithGradientsState, GibbsWithGradientsInfo]:
        there, level = self.proposal(state), uniform(key)  # disjoint blocks of one key
        codes = self.sites.codes(state.x)
        site, move = jnp.divmod(categorical(key, there.reshape(1, -1))[0], there.shape[1])
        new = self.init(energy, self.sites.embed(codes.at[site].set(move), state.x))
        back = self.proposal(new)[site, codes[site]]
        log_ratio = state.energy - new.energy + (back - there[site, move]).astype(state.energy.dtype)
        finite = jnp.isfinite(new.energy) & all_finite(new.gradient) & ~jnp.isnan(log_ratio)
        acceptance = jnp.where(finite, jnp.exp(jnp.minimum(log_ratio, 0.0)), 0.0)
        state = where(level.astype(acceptance.dtype) < acceptance, new, state)
        return state, GibbsWithGradientsInfo(state.energy, acceptance, ~finite)
