"""The kernels of discrete samples that the laws of `test_discrete.py` are run over: adding one adds one line."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from energax.core import AbstractEnergy, AbstractPairEnergy, AbstractSampler, PairTerms
from energax.samplers import (
    BITS,
    CATEGORIES,
    DMALA,
    DULA,
    SPINS,
    AbstractSites,
    CheckerboardGibbs,
    Gibbs,
    GibbsWithGradients,
    RandomScanGibbs,
    SiteMetropolis,
    SwendsenWang,
    Wolff,
    colouring,
)
from enumerated import Space, space

rng = np.random.default_rng(5)
GRAPH = np.array([[0, 1], [1, 2], [0, 2], [2, 3], [3, 0], [3, 4]])  # two triangles and a tail: three colours


class Pairwise(AbstractPairEnergy):
    """-sum of strengths of edges whose ends agree (spins: times the product) - sum of fields: linear in every site.

    As many edges of `GRAPH` as there are strengths; `cond` is added to the fields.
    """

    strengths: jax.Array
    fields: jax.Array

    def __call__(self, x, cond=None):
        flat = x if hasattr(x, "shape") else jnp.concatenate([x["a"], x["b"]])
        fields = self.fields if cond is None else self.fields + cond
        graph = GRAPH[: len(self.strengths)]
        ends = flat[graph[:, 0]] * flat[graph[:, 1]]
        strengths = self.strengths.reshape((-1,) + (1,) * (ends.ndim - 1))
        return -jnp.sum(jnp.broadcast_to(strengths, ends.shape) * ends) - jnp.sum(fields * flat)

    def pair_terms(self, cond=None):
        fields = self.fields if cond is None else self.fields + cond
        if fields.ndim == 2:
            return PairTerms(jnp.asarray(GRAPH[: len(self.strengths)]), self.strengths, fields)
        return PairTerms(
            jnp.asarray(GRAPH[: len(self.strengths)]), 2.0 * self.strengths, jnp.stack([-fields, fields], axis=1)
        )


class Curved(AbstractEnergy):
    """No pair energy, and not linear in its sites: for kernels that take any energy."""

    fields: jax.Array

    def __call__(self, x, cond=None):
        return jnp.sum(self.fields * x) + jnp.sin(2.0 * jnp.sum(x)) + 0.8 * jnp.sqrt(1.0 + jnp.sum(x * jnp.cumsum(x)))


def fields(*shape: int) -> jax.Array:
    return jnp.asarray(rng.normal(scale=0.5, size=shape), jnp.float32)


class Target(NamedTuple):
    """A density on few states, as skewed as they come, and the colours of its sites."""

    energy: AbstractEnergy
    sites: AbstractSites
    like: jax.Array
    colours: np.ndarray
    kind: str = "pairs"
    """The strongest that holds of: "pairs" (of spins or categories), "linear" in every site, "any"."""


ROUGH = jnp.array([0.9, -0.6, 0.4, 0.8, -0.5, 1.1])
TARGETS = {
    "glass": Target(0.7 * Pairwise(ROUGH, fields(5)), SPINS, jnp.ones(5), colouring(GRAPH, 5)),
    "bits": Target(1.3 * Pairwise(-ROUGH, fields(5)), BITS, jnp.ones(5), colouring(GRAPH, 5), "linear"),
    "potts": Target(
        0.8 * Pairwise(jnp.abs(ROUGH), fields(5, 3)),
        CATEGORIES,
        jax.nn.one_hot(jnp.zeros(5, int), 3),
        colouring(GRAPH, 5),
    ),
    "curved": Target(0.6 * Curved(fields(5)), BITS, jnp.ones(5), colouring(GRAPH, 5), "any"),
}
"""beta != 1 in all of them."""


TRIANGLES = {
    "three spins": Target(0.7 * Pairwise(ROUGH[:3], fields(3)), SPINS, jnp.ones(3), np.arange(3)),
    "three categories": Target(
        0.8 * Pairwise(jnp.abs(ROUGH[:3]), fields(3, 3)), CATEGORIES, jax.nn.one_hot(jnp.zeros(3, int), 3), np.arange(3)
    ),
}
"""Few enough states for the exact transition matrix of any kernel."""


@cache
def truth(name: str) -> Space:
    """All states of a target with their probabilities."""
    target = TARGETS[name]
    return space(target.energy, target.sites, target.like)


class Member(NamedTuple):
    """How a kernel is made for a target, and what its docstring promises."""

    make: Callable[[Target], AbstractSampler]
    reversible: bool
    takes: tuple[str, ...]  # kinds of energy
    exact: bool = True


PAIRS, LINEAR, ANY = ("pairs",), ("pairs", "linear"), ("pairs", "linear", "any")
MEMBERS = {
    "gibbs": Member(lambda t: Gibbs(t.sites), reversible=False, takes=ANY),
    "random scan gibbs": Member(lambda t: RandomScanGibbs(t.sites, 3), reversible=True, takes=ANY),
    "site metropolis": Member(lambda t: SiteMetropolis(t.sites, 3), reversible=True, takes=ANY),
    "checkerboard": Member(lambda t: CheckerboardGibbs(t.sites, t.colours), reversible=False, takes=LINEAR),
    "gibbs with gradients": Member(lambda t: GibbsWithGradients(t.sites), reversible=True, takes=ANY),
    "dula": Member(lambda t: DULA(t.sites, 1.0), reversible=False, takes=ANY, exact=False),
    "dmala": Member(lambda t: DMALA(t.sites, 1.0), reversible=True, takes=ANY),
    "swendsen-wang": Member(lambda t: SwendsenWang(), reversible=True, takes=PAIRS),
    "wolff": Member(lambda t: Wolff(), reversible=True, takes=PAIRS),
}
"""Every sampler of discrete x."""

CASES = [(m, t) for m, member in MEMBERS.items() for t, at in TARGETS.items() if at.kind in member.takes]
EXACT = [(m, t) for m, t in CASES if MEMBERS[m].exact]
REVERSIBLE = [(m, t) for m, t in EXACT if MEMBERS[m].reversible]


class Few(NamedTuple):
    """What most laws share, so that they share a compiled step too."""

    sampler: Any
    energy: Pairwise
    xs: jax.Array


def few(name: str) -> Few:
    """Eight chains of five spins."""
    xs = jnp.sign(jax.random.normal(jax.random.key(7), (8, 5)))
    return Few(MEMBERS[name].make(TARGETS["glass"]), Pairwise(ROUGH, jnp.linspace(-0.5, 0.5, 5)), xs)
