"""Single-site Metropolis: one site at random, another of its states uniformly, and a Metropolis test.

Source: Metropolis, Rosenbluth, Rosenbluth, Teller and Teller (1953), Equation of state calculations by fast computing
    machines, doi:10.1063/1.1699114, sec. II; Newman and Barkema (1999), Monte Carlo methods in statistical physics,
    sec. 3.1 (for spins).
What differs: categories as well as spins; a proposal whose energy is not finite is rejected, and the chain flagged
    `divergent`.
Leaves p(x) ~ exp(-E(x)) exactly invariant (detailed balance, by update). Cost: one energy an update, of any energy.
Relaxes spins faster than the heat bath, which may redraw what was there, and many categories slower. Fails slowly: one
site at a time crosses no barrier. On a flat energy (beta = 0) every proposal for two states is accepted, so that the
parity of the flips is not random: the chain is periodic there.
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Key, X, checks
from energax.numerics.random import uniforms

from .sites import AbstractSites, check_sites


class SiteMetropolisState(NamedTuple):
    """Where the chain is, and E(x): `refresh` renews it when the energy has changed."""

    x: X
    energy: Scalar


class SiteMetropolisInfo(NamedTuple):
    """Energy after the step [nats], mean probability of acceptance, whether a proposal was not finite."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]


class SiteMetropolis(AbstractSampler):
    """One step is `updates` times: i uniform over the sites, a state uniform over its others, accepted with
    min(1, exp(E(x) - E(x'))).

    Args:
        sites: What values a site takes: `SPINS`, `BITS` or `CATEGORIES`.
        updates: How many proposals make a step, >= 1; the number of sites makes it a sweep's work.

    Raises:
        ValueError: `sites` is no kind of site, or `updates` not an integer >= 1.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> from energax.samplers import BITS
        >>> energy = FunctionEnergy(lambda x: jnp.sum(x))
        >>> sampler = SiteMetropolis(BITS, updates=1)
        >>> state, info = sampler.step(jax.random.key(0), energy, sampler.init(energy, jnp.ones(3)))
        >>> float(state.x.sum()), float(info.acceptance)  # downhill: always accepted
        (2.0, 1.0)
    """

    reversible: ClassVar[bool] = True
    sites: AbstractSites
    updates: int = 1

    def __check_init__(self):
        check_sites("SiteMetropolis", self.sites)
        checks.count("SiteMetropolis", "updates", self.updates)

    def init(self, energy: AbstractEnergy, x: X) -> SiteMetropolisState:
        return SiteMetropolisState(x, energy(x))

    def refresh(self, energy: AbstractEnergy, state: SiteMetropolisState) -> SiteMetropolisState:
        return self.init(energy, state.x)

    def step(
        self, key: Key, energy: AbstractEnergy, state: SiteMetropolisState
    ) -> tuple[SiteMetropolisState, SiteMetropolisInfo]:
        codes, states = self.sites.codes(state.x), self.sites.num_states(state.x)
        which, where, level = uniforms(key, (3, self.updates))
        chosen = (which * codes.shape[0]).astype(jnp.int32)  # x does not enter the choice
        turn = 1 + (where * (states - 1)).astype(jnp.int32)  # 1 .. states - 1, as likely as the turn back

        def update(carry, now):
            codes, value, divergent = carry
            site, turn, level = now
            proposal = codes.at[site].set((codes[site] + turn) % states)
            new = energy(self.sites.embed(proposal, state.x))
            finite = jnp.isfinite(new)
            acceptance = jnp.where(finite, jnp.exp(jnp.minimum(value - new, 0.0)), 0.0)
            accept = level.astype(acceptance.dtype) < acceptance
            carry = jnp.where(accept, proposal, codes), jnp.where(accept, new, value), divergent | ~finite
            return carry, acceptance

        start = (codes, state.energy, jnp.array(False))
        (codes, value, divergent), acceptance = jax.lax.scan(update, start, (chosen, turn, level))
        state = SiteMetropolisState(self.sites.embed(codes, state.x), value)
        return state, SiteMetropolisInfo(value, jnp.mean(acceptance), divergent)
