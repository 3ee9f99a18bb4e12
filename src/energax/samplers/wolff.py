"""The Wolff algorithm: the cluster of one random site turns as a whole.

Source: Wolff (1989), Collective Monte Carlo updating for spin systems, doi:10.1103/PhysRevLett.62.361.
What differs: any graph, strengths edge by edge, and fields, by a Metropolis test of what the cluster's fields gain. The
    cluster is read off bonds drawn on the whole graph, so that no randomness is inside a loop; its law is the same. For
    two states a negative strength bonds UNLIKE neighbours.
Leaves p(x) ~ exp(-E(x)) exactly invariant (detailed balance). Cost: that of a step of `SwendsenWang`, which turns all
clusters where this one turns one: the better bargain on hardware that works on all sites at once. Takes the energy
apart by `core.pair_terms`. Fails by rejection where fields are strong, slowly where clusters are small (hot), and as
`SwendsenWang` where strengths are frustrated. Without strengths or fields a spin flips in every step: periodic.
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Key, X, pair_terms
from energax.numerics.random import uniform, uniforms

from .clusters import cluster_labels
from .swendsen_wang import draw_bonds, is_served, sites_of


class WolffState(NamedTuple):
    """Where the chain is; nothing is cached."""

    x: X


class WolffInfo(NamedTuple):
    """Energy after the step [nats], probability of acceptance (1 without fields), whether a term was not finite or of a
    sign that is not served, and how many sites the cluster held."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]
    size: Int[Array, ""]


class Wolff(AbstractSampler):
    """Bonds as in `SwendsenWang`; the cluster of a uniform site turns to one of the other states, uniformly, and is
    accepted with min(1, exp(what its fields gain)).

    Raises:
        ValueError: The energy is no sum over pairs of sites, or x is neither its spins nor its one-hot rows.

    Example:
        >>> from energax.energies import Ising
        >>> from energax.samplers import advance, init_chains
        >>> energy = Ising.lattice((8, 8), 9.0)
        >>> chains = init_chains(Wolff(), energy, jnp.ones((2, 64)))
        >>> chains, info = advance(jax.random.key(0), Wolff(), energy, chains, 3)
        >>> info.size.tolist(), chains.states.x[0, :3].tolist()  # cold: all sites at once, three times
        ([64, 64], [-1.0, -1.0, -1.0])
    """

    reversible: ClassVar[bool] = True

    def init(self, energy: AbstractEnergy, x: X) -> WolffState:
        sites_of("Wolff", pair_terms(energy), x)
        return WolffState(x)

    def refresh(self, energy: AbstractEnergy, state: WolffState) -> WolffState:
        return self.init(energy, state.x)

    def step(self, key: Key, energy: AbstractEnergy, state: WolffState) -> tuple[WolffState, WolffInfo]:
        bind, choose = jax.random.split(key)
        terms = pair_terms(energy)
        sites = sites_of("Wolff", terms, state.x)
        codes, (number, states) = sites.codes(state.x), terms.fields.shape
        which, where = uniforms(choose, (2,))
        seed = (which * number).astype(jnp.int32)  # x does not enter the choice
        by = 1 + (where * (states - 1)).astype(jnp.int32)  # 1 .. states - 1, as likely as the turn back
        labels = cluster_labels(terms.pairs, draw_bonds(bind, terms, codes), number)
        cluster = labels == labels[seed]
        turned = jnp.where(cluster, (codes + by) % states, codes)
        here, there = (jnp.take_along_axis(terms.fields, c[:, None], axis=1)[:, 0] for c in (codes, turned))
        gain = jnp.sum(there - here)
        served = is_served(terms)
        acceptance = jnp.where(served, jnp.exp(jnp.minimum(gain, 0.0)), 0.0)
        accept = uniform(choose).astype(acceptance.dtype) < acceptance  # a block of its own
        x = sites.embed(jnp.where(accept, turned, codes), state.x)
        value = energy(x)
        served = served & jnp.isfinite(value)
        size = jnp.sum(cluster.astype(jnp.int32))
        return WolffState(x), WolffInfo(value, jnp.where(served, acceptance, 0.0), ~served, size)
