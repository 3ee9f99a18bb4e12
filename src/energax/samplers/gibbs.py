"""Gibbs sampling: every site in turn drawn anew given all the others (the heat bath), in a fixed order.

Source: Geman and Geman (1984), Stochastic relaxation, Gibbs distributions, and the Bayesian restoration of images,
    doi:10.1109/TPAMI.1984.4767596; Glauber (1963), doi:10.1063/1.1703954 (the same rule as spin dynamics).
What differs: any energy, since the conditional law is read off the energies of the site's states. A state whose energy
    is not finite is never entered, and the chain flagged `divergent`.
Leaves p(x) ~ exp(-E(x)) exactly invariant; the fixed order makes it NOT reversible (`RandomScanGibbs` is).
Cost: (states - 1) energies a site, sites x (states - 1) a step. Where the energy is linear in every site,
`CheckerboardGibbs` does the same for the price of one gradient a colour. Fails slowly: one site at a time crosses no
barrier, and near a critical point the correlation time grows as about length^2.17 sweeps (in two dimensions).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Key, X
from energax.numerics.random import invert, uniforms

from .sites import AbstractSites, check_sites, other_energies


class GibbsState(NamedTuple):
    """Where the chain is, and E(x): the energy of the state that a site is in need not be computed again."""

    x: X
    energy: Scalar


class GibbsInfo(NamedTuple):
    """Energy after the step [nats]; acceptance is 1, there is no test; whether some state's energy was not finite."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]


class Gibbs(AbstractSampler):
    """One step is one sweep: x_i ~ p(x_i | the rest) for i = 0, 1, .., sites - 1 in this order.

    Args:
        sites: What values a site takes: `SPINS`, `BITS` or `CATEGORIES`.

    Raises:
        ValueError: `sites` is no kind of site.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> from energax.samplers import SPINS
        >>> energy = FunctionEnergy(lambda x: -0.5 * x[0] * x[1] * x[2])  # three spins at once: any energy will do
        >>> sampler = Gibbs(SPINS)
        >>> state, info = sampler.step(jax.random.key(0), energy, sampler.init(energy, jnp.ones(3)))
        >>> set(state.x.tolist()) <= {-1.0, 1.0}, float(info.acceptance)
        (True, 1.0)
    """

    sites: AbstractSites

    def __check_init__(self):
        check_sites("Gibbs", self.sites)

    def init(self, energy: AbstractEnergy, x: X) -> GibbsState:
        return GibbsState(x, energy(x))

    def refresh(self, energy: AbstractEnergy, state: GibbsState) -> GibbsState:
        return self.init(energy, state.x)

    def step(self, key: Key, energy: AbstractEnergy, state: GibbsState) -> tuple[GibbsState, GibbsInfo]:
        codes = self.sites.codes(state.x)
        order = jnp.arange(codes.shape[0])

        def update(carry, now):
            codes, value, divergent = carry
            site, level = now
            others, values = other_energies(energy, self.sites, codes, site, state.x)
            states, values = jnp.append(codes[site], others), jnp.append(value, values)
            logits = jnp.where(jnp.isfinite(values), -values, -jnp.inf)
            pick = invert(level, logits)  # where no state is finite, 0: the site stays
            divergent = divergent | ~jnp.all(jnp.isfinite(values))
            return (codes.at[site].set(states[pick]), values[pick], divergent), None

        start = (codes, state.energy, jnp.array(False))
        (codes, value, divergent), _ = jax.lax.scan(update, start, (order, uniforms(key, order.shape)))
        state = GibbsState(self.sites.embed(codes, state.x), value)
        return state, GibbsInfo(value, jnp.isfinite(value).astype(value.dtype), divergent)
