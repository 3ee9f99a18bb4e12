"""Gibbs sampling of sites chosen at random: the reversible heat bath.

Source: Geman and Geman (1984), Stochastic relaxation, Gibbs distributions, and the Bayesian restoration of images,
    doi:10.1109/TPAMI.1984.4767596; Glauber (1963), doi:10.1063/1.1703954 (spins that relax at random times).
What differs: any energy, since the conditional law is read off the energies of the site's states. A state whose energy
    is not finite is never entered, and the chain flagged `divergent`.
Leaves p(x) ~ exp(-E(x)) exactly invariant, and each update is reversible, where `Gibbs` in a fixed order is not.
Cost: (states - 1) energies an update. Fails slowly, as `Gibbs` does; per update it relaxes about half as fast, since
some sites are met twice before others are met once.
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Key, X, checks
from energax.numerics.random import invert, uniforms

from .sites import AbstractSites, check_sites, other_energies


class RandomScanGibbsState(NamedTuple):
    """Where the chain is, and E(x): the energy of the state that a site is in need not be computed again."""

    x: X
    energy: Scalar


class RandomScanGibbsInfo(NamedTuple):
    """Energy after the step [nats]; acceptance is 1, there is no test; whether some state's energy was not finite."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]


class RandomScanGibbs(AbstractSampler):
    """One step is `updates` times: i uniform over the sites, x_i ~ p(x_i | the rest).

    Args:
        sites: What values a site takes: `SPINS`, `BITS` or `CATEGORIES`.
        updates: How many single-site updates make a step, >= 1; the number of sites makes it a sweep's work.

    Raises:
        ValueError: `sites` is no kind of site, or `updates` not an integer >= 1.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> from energax.samplers import BITS
        >>> energy = FunctionEnergy(lambda x: 9.0 * jnp.sum(x))
        >>> sampler = RandomScanGibbs(BITS, updates=1)
        >>> state, info = sampler.step(jax.random.key(0), energy, sampler.init(energy, jnp.ones(3)))
        >>> float(state.x.sum())
        2.0
    """

    reversible: ClassVar[bool] = True
    sites: AbstractSites
    updates: int = 1

    def __check_init__(self):
        check_sites("RandomScanGibbs", self.sites)
        checks.count("RandomScanGibbs", "updates", self.updates)

    def init(self, energy: AbstractEnergy, x: X) -> RandomScanGibbsState:
        return RandomScanGibbsState(x, energy(x))

    def refresh(self, energy: AbstractEnergy, state: RandomScanGibbsState) -> RandomScanGibbsState:
        return self.init(energy, state.x)

    def step(
        self, key: Key, energy: AbstractEnergy, state: RandomScanGibbsState
    ) -> tuple[RandomScanGibbsState, RandomScanGibbsInfo]:
        codes = self.sites.codes(state.x)
        which, level = uniforms(key, (2, self.updates))
        chosen = (which * codes.shape[0]).astype(jnp.int32)  # x does not enter the choice: invariance asks no more

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
        (codes, value, divergent), _ = jax.lax.scan(update, start, (chosen, level))
        state = RandomScanGibbsState(self.sites.embed(codes, state.x), value)
        return state, RandomScanGibbsInfo(value, jnp.isfinite(value).astype(value.dtype), divergent)
