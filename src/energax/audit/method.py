"""What a method of the audit is: a rule to train by, and what a step of it costs.

A file of `methods/` has a `TITLE`, `fits(problem)` and `make(problem)`; its name is the method's.

Costs are counted alike for all: one evaluation is the energy or its gradient, in x or in the parameters, at one sample.
A loss that is differentiated once counts one evaluation a sample; one that holds a gradient in x counts two, and one
that holds d second derivatives 2 (1 + d). Kernels count an evaluation a step, and one to begin with.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import optax

from energax.core import AbstractDensity, AbstractEnergy, AbstractObjective
from energax.energies import SelfNormalised
from energax.numerics.logspace import log_mean_exp
from energax.training import Phase

from .problem import Problem

BATCH = 256
"""Data in a step, the same for every method."""


class Rule(NamedTuple):
    """How a method trains on a problem.

    Attributes:
        objective: What is minimised; None where the model is fitted without steps.
        evaluations: Of one step.
        steps: None spends the problem's budget; a yardstick that is not held to it names its own.
        wrap: What is trained, made of the problem's energy.
        fitted: (seed) -> the energy, of a method without steps.
        players: (optimiser) -> the phases of a step, of a method with more than one player; its `objective` is the
            energy's own.
        energy: The trained model's energy.
        claim: (trained model, last metrics) -> the method's own log Z of the problem's energy, in nats; or None.
    """

    objective: AbstractObjective | None
    evaluations: int = 0
    steps: int | None = None
    wrap: Callable[[AbstractEnergy], Any] = lambda energy: energy
    fitted: Callable[[int], AbstractEnergy] | None = None
    players: Callable[[optax.GradientTransformation], tuple[Phase, ...]] | None = None
    energy: Callable[[Any], AbstractEnergy] = lambda model: model
    claim: Callable[[Any, dict[str, float]], float] | None = None


def normalised_by(noise: AbstractDensity) -> Callable[[AbstractEnergy], AbstractEnergy]:
    """Gives an energy a log Z of its own that starts at its estimate from 1,000 samples of the noise."""

    @eqx.filter_jit
    def wrap(energy: AbstractEnergy) -> AbstractEnergy:
        xs = jax.vmap(noise.sample)(jax.random.split(jax.random.key(0), 1000))
        log_weights = -jax.vmap(energy)(xs) - jax.vmap(noise.log_prob)(xs)
        return SelfNormalised(energy, log_mean_exp(log_weights))

    return wrap


def neighbours(problem: Problem) -> int:
    """Evaluations that tell the energies of all one-site changes of a datum of two-valued sites, differentiated."""
    return 2 if problem.linear else 1 + problem.dim
