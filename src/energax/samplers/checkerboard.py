"""Gibbs by colour: all sites of one colour drawn at once from one gradient, exact where no edge joins like colours.

Source: Geman and Geman (1984), Stochastic relaxation, Gibbs distributions, and the Bayesian restoration of images,
    doi:10.1109/TPAMI.1984.4767596 (sites that are no neighbours may update at once); Preis, Virnau, Paul and
    Schneider (2009), GPU accelerated Monte Carlo simulation of the 2D and 3D Ising model,
    doi:10.1016/j.jcp.2009.03.018 (the checkerboard).
What differs: any graph with a colouring, spins and categories alike; the conditional laws of all sites are read off
    one gradient, so that `beta * energy`, `a + b` and `energy.given(c)` are followed with no rule of their own.
Leaves p(x) ~ exp(-E(x)) exactly invariant (the fixed order makes it not reversible) under two conditions that are the
user's: the energy is linear in every site (Ising, Potts, Boltzmann machines and their sums), and sites of one colour do
not act on each other. Cost: one gradient a colour. Fails slowly near a critical point, as every local rule does
(`SwendsenWang` does not), and silently where one of the two conditions is broken.
"""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Key, X, checks
from energax.numerics.random import invert, uniforms
from energax.numerics.tree import all_finite

from .sites import AbstractSites, check_sites


class CheckerboardGibbsState(NamedTuple):
    """Where the chain is; nothing is cached."""

    x: X


class CheckerboardGibbsInfo(NamedTuple):
    """Energy before the step [nats]; acceptance is 1, there is no test; whether energy or gradient was not finite."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]


class CheckerboardGibbs(AbstractSampler):
    """One step is one sweep: for every colour in turn, x_i ~ p(x_i | the rest) for all sites i of that colour at once.

    Args:
        sites: What values a site takes: `SPINS`, `BITS` or `CATEGORIES`.
        colours: The colour of every site, integers [sites] in 0..colours-1, each used; of `checkerboard(shape)` or
            `colouring(pairs, sites)`. No interaction may join two sites of one colour.

    Raises:
        ValueError: `sites` is no kind of site, `colours` no such array, or x has another number of sites.

    Example:
        >>> from energax.energies import Ising
        >>> from energax.samplers import SPINS, advance, init_chains
        >>> energy = Ising.lattice((8, 8), 0.3)
        >>> sampler = CheckerboardGibbs(SPINS, checkerboard((8, 8)))
        >>> chains = init_chains(sampler, energy, jnp.ones((2, 64)))
        >>> chains, info = advance(jax.random.key(0), sampler, 2.0 * energy, chains, 10)
        >>> chains.states.x.shape
        (2, 64)
    """

    sites: AbstractSites
    colours: Int[Array, " sites"]
    num_colours: int = eqx.field(static=True)

    def __init__(self, sites: AbstractSites, colours: Array | np.ndarray):
        check_sites("CheckerboardGibbs", sites)
        plain = np.asarray(colours)
        if plain.ndim != 1 or plain.size == 0 or not np.issubdtype(plain.dtype, np.integer):
            raise ValueError(
                "CheckerboardGibbs.colours must be integers of shape (sites,); "
                f"got {plain.dtype} of shape {plain.shape}."
            )
        used = np.unique(plain)
        if not np.array_equal(used, np.arange(len(used))):
            raise ValueError(
                f"CheckerboardGibbs.colours must use every number from 0; got {len(used)} colours "
                f"between {used[0]} and {used[-1]}."
            )
        self.sites = sites
        self.colours = jnp.asarray(plain, jnp.int32)
        self.num_colours = len(used)

    def init(self, energy: AbstractEnergy, x: X) -> CheckerboardGibbsState:
        number = self.sites.codes(x).shape[0]
        if number != self.colours.shape[0]:
            raise ValueError(
                f"CheckerboardGibbs.colours must hold one number a site of x ({number}); got {self.colours.shape[0]}."
            )
        return CheckerboardGibbsState(x)

    def refresh(self, energy: AbstractEnergy, state: CheckerboardGibbsState) -> CheckerboardGibbsState:
        return self.init(energy, state.x)

    def step(
        self, key: Key, energy: AbstractEnergy, state: CheckerboardGibbsState
    ) -> tuple[CheckerboardGibbsState, CheckerboardGibbsInfo]:
        x, level = state.x, uniforms(key, self.colours.shape)  # every site is drawn once a sweep
        value, gradient = jax.value_and_grad(energy)(x)
        finite = jnp.isfinite(value) & all_finite(gradient)
        for colour in range(self.num_colours):
            if colour:
                gradient = jax.grad(energy)(x)
                finite = finite & all_finite(gradient)
            drawn = invert(level, self.sites.logits(x, gradient))
            x = self.sites.embed(jnp.where(self.colours == colour, drawn, self.sites.codes(x)), x)
        x = jax.tree.map(lambda new, old: jnp.where(finite, new, old), x, state.x)
        return CheckerboardGibbsState(x), CheckerboardGibbsInfo(value, finite.astype(value.dtype), ~finite)


def checkerboard(shape: tuple[int, ...]) -> Int[np.ndarray, " sites"]:
    """Two colours of a periodic chain, square or cubic lattice, whose nearest neighbours never share one.

    Args:
        shape: Sites along each axis, each even and >= 2, so that the ends may be joined; site numbers run over the last
            axis fastest, as in `energies.lattice_edges`. An odd side takes `colouring`.

    Raises:
        ValueError: A side is odd.

    Example:
        >>> checkerboard((2, 4)).tolist()
        [0, 1, 0, 1, 1, 0, 1, 0]
    """
    for size in shape:
        if checks.count("checkerboard", "shape", size, least=2) % 2:
            raise ValueError(f"checkerboard.shape must be even; got {tuple(shape)}. Use colouring(pairs, sites).")
    return (np.indices(shape).sum(0).reshape(math.prod(shape)) % 2).astype(np.int32)


def colouring(pairs: Array | np.ndarray, sites: int) -> Int[np.ndarray, " sites"]:
    """Colours for any graph, greedily, the sites of most neighbours first: at most one more than the most neighbours.

    Args:
        pairs: The two ends of every edge, integers [edges, 2].
        sites: How many sites there are, >= 1.

    Raises:
        ValueError: A pair names no two sites.

    Example:
        >>> colouring(np.array([[0, 1], [1, 2], [2, 0]]), 4).tolist()  # a triangle and a site of its own
        [0, 1, 2, 0]
    """
    checks.count("colouring", "sites", sites)
    plain = np.asarray(pairs)
    if plain.ndim != 2 or plain.shape[1] != 2 or not np.issubdtype(plain.dtype, np.integer):
        raise ValueError(f"colouring.pairs must be integers [edges, 2]; got {plain.dtype} of shape {plain.shape}.")
    if plain.size and (plain.min() < 0 or plain.max() >= sites or np.any(plain[:, 0] == plain[:, 1])):
        raise ValueError(f"colouring.pairs must each join two of the sites 0 to {sites - 1}; got others.")
    neighbours: list[set[int]] = [set() for _ in range(sites)]
    for a, b in plain.tolist():
        neighbours[a].add(b)
        neighbours[b].add(a)
    colours = np.full(sites, -1, np.int32)
    for site in sorted(range(sites), key=lambda i: -len(neighbours[i])):
        taken = {colours[j] for j in neighbours[site]}
        colours[site] = next(c for c in range(len(taken) + 1) if c not in taken)
    return colours
