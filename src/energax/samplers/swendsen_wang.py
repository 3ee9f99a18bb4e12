"""The Swendsen-Wang algorithm: bonds between like neighbours, then a fresh state for every cluster of bonds.

Source: Swendsen and Wang (1987), Nonuniversal critical dynamics in Monte Carlo simulations,
    doi:10.1103/PhysRevLett.58.86; Edwards and Sokal (1988), Generalization of the Fortuin-Kasteleyn-Swendsen-Wang
    representation, doi:10.1103/PhysRevD.38.2009 (why, and with fields).
What differs: any graph, strengths edge by edge, and fields: given the bonds the clusters are independent, and a cluster
    takes each state with probability ~ exp(the sum of its sites' fields), so that neither a ghost spin nor a test is
    needed. For two states a negative strength bonds UNLIKE neighbours, and a cluster turns as a whole.
Leaves p(x) ~ exp(-E(x)) exactly invariant (detailed balance). Cost: a uniform number an edge, and some log(sites)
passes over the edges to label the clusters. Takes the energy apart by `core.pair_terms`: Ising, Potts, their sums,
temperings and conditions. Fails to help where strengths are frustrated (one cluster spans all) or fields are strong;
with more than two states and a negative strength it stands still and says `divergent`.
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Key, PairTerms, X, pair_terms
from energax.numerics.random import invert, uniforms

from .clusters import cluster_labels
from .sites import CATEGORIES, SPINS, AbstractSites


class SwendsenWangState(NamedTuple):
    """Where the chain is; nothing is cached."""

    x: X


class SwendsenWangInfo(NamedTuple):
    """Energy after the step [nats]; acceptance is 1, there is no test; whether a term was not finite or of a sign that
    is not served; and how many clusters there were."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]
    clusters: Int[Array, ""]


class SwendsenWang(AbstractSampler):
    """Every edge (a, b) of agreeing ends is bonded with probability 1 - exp(-agreement_ab), which is 1 - exp(-2 J) for
    Ising's J and 1 - exp(-J) for Potts'; every cluster of bonds takes a state of its own.

    Raises:
        ValueError: The energy is no sum over pairs of sites, or x is neither its spins nor its one-hot rows.

    Example:
        >>> from energax.energies import Potts
        >>> from energax.samplers import advance, init_chains
        >>> energy = Potts.lattice((8, 8), 3, 1.0)
        >>> start = jnp.broadcast_to(jax.nn.one_hot(0, 3), (2, 64, 3))
        >>> chains = init_chains(SwendsenWang(), energy, start)
        >>> chains, info = advance(jax.random.key(0), SwendsenWang(), 1.2 * energy, chains, 10)
        >>> chains.states.x.shape, info.clusters.shape
        ((2, 64, 3), (2,))
    """

    reversible: ClassVar[bool] = True

    def init(self, energy: AbstractEnergy, x: X) -> SwendsenWangState:
        sites_of("SwendsenWang", pair_terms(energy), x)
        return SwendsenWangState(x)

    def refresh(self, energy: AbstractEnergy, state: SwendsenWangState) -> SwendsenWangState:
        return self.init(energy, state.x)

    def step(
        self, key: Key, energy: AbstractEnergy, state: SwendsenWangState
    ) -> tuple[SwendsenWangState, SwendsenWangInfo]:
        bind, turn = jax.random.split(key)
        terms = pair_terms(energy)
        sites = sites_of("SwendsenWang", terms, state.x)
        codes, (number, states) = sites.codes(state.x), terms.fields.shape
        labels = cluster_labels(terms.pairs, draw_bonds(bind, terms, codes), number)
        # what each cluster gains by turning all its sites by 0 .. states - 1
        turned = (codes[:, None] + jnp.arange(states, dtype=jnp.int32)[None, :]) % states
        gains = jax.ops.segment_sum(jnp.take_along_axis(terms.fields, turned, axis=1), labels, number)
        by = invert(uniforms(turn, (number,)), gains)[labels]
        served = is_served(terms)
        x = sites.embed(jnp.where(served, (codes + by) % states, codes), state.x)
        value = energy(x)
        roots = jnp.sum((labels == jnp.arange(number, dtype=jnp.int32)).astype(jnp.int32))
        served = served & jnp.isfinite(value)
        return SwendsenWangState(x), SwendsenWangInfo(value, served.astype(value.dtype), ~served, roots)


def draw_bonds(key: Key, terms: PairTerms, codes: Int[Array, " sites"]) -> Bool[Array, " edges"]:
    """Which edges are bonded: satisfied ones, with probability 1 - exp(-|agreement|)."""
    like = codes[terms.pairs[:, 0]] == codes[terms.pairs[:, 1]]
    satisfied = jnp.where(terms.agreement < 0.0, ~like, like)
    odds = -jnp.expm1(-jnp.abs(terms.agreement))
    return satisfied & (uniforms(key, odds.shape).astype(odds.dtype) < odds)


def is_served(terms: PairTerms) -> Bool[Array, ""]:
    """Whether all terms are finite and, for more than two states, no agreement is negative."""
    finite = jnp.all(jnp.isfinite(terms.agreement)) & jnp.all(jnp.isfinite(terms.fields))
    return finite if terms.fields.shape[1] == 2 else finite & jnp.all(terms.agreement >= 0.0)


def sites_of(owner: str, terms: PairTerms, x: X) -> AbstractSites:
    """Spins or categories, by the size of x.

    Raises:
        ValueError: x is neither.
    """
    number, states = terms.fields.shape
    size = sum(leaf.size for leaf in jax.tree.leaves(x))
    if size == number * states:
        return CATEGORIES
    if size == number and states == 2:
        return SPINS
    raise ValueError(f"{owner}: x must hold one-hot rows or two-state spins of {number} sites; got {size} numbers.")
