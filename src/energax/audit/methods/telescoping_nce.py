"""Telescoping noise-contrastive estimation: levels between the data and the noise, an energy and a log Z for each."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractEnergy, Cond, X
from energax.energies import SelfNormalised
from energax.objectives import TelescopingNoiseContrastive

from ..method import BATCH, Rule, normalised_by
from ..problem import Problem

TITLE = "telescoping noise-contrastive estimation, 4 levels, an energy for each"
LEVELS = (0.0, 0.3, 0.6, 0.9)


class Rungs(AbstractEnergy):
    """E(x, a): of as many energies, stacked on axis 0, the one whose level is nearest; without a, that of the data."""

    stacked: SelfNormalised

    def __call__(self, x: X, cond: Cond = None) -> Scalar:
        level = jnp.zeros(()) if cond is None else jnp.asarray(cond)
        return self.at(jnp.argmin(jnp.abs(jnp.asarray(LEVELS, level.dtype) - level)))(x)

    def at(self, rung: Array | int) -> SelfNormalised:
        """One of the energies, with its log Z."""
        return jax.tree.map(lambda leaf: leaf[rung] if eqx.is_array(leaf) else leaf, self.stacked)


def fits(problem: Problem) -> bool:
    """Samples of real numbers, which can be mixed with noise."""
    return not problem.is_discrete


def make(problem: Problem) -> Rule:
    """At every level the energy of it, and that of each neighbour which is no noise; the last one at the noise."""
    noise = problem.noise()
    rule = TelescopingNoiseContrastive(noise, LEVELS)
    begin = normalised_by(noise)

    def wrap(energy: AbstractEnergy) -> Rungs:
        def rise(leaf: Array) -> Float[Array, "rungs ..."]:
            return jnp.repeat(leaf[None], len(LEVELS), axis=0)

        return Rungs(jax.tree.map(lambda leaf: rise(leaf) if eqx.is_array(leaf) else leaf, begin(energy)))

    evaluations = BATCH * (len(LEVELS) + 2 * (len(LEVELS) - 1) + 1)
    return Rule(rule, evaluations, wrap=wrap, energy=lambda model: model.at(0), claim=lambda model, metrics: 0.0)
