"""Persistent contrastive divergence with the gradient through the last step and an entropy of neighbours."""

from energax.objectives import ImprovedCD, PersistentCD
from energax.objectives.start import GeneratorStart
from energax.samplers import ULA

from ..method import BATCH, Rule
from ..problem import Problem

TITLE = "improved contrastive divergence, gradient through the last step"
STEP, TRANSITIONS, SAMPLES = 0.002, 20, 64
"""The walkers' own: the step of a test of Metropolis is no function that a gradient goes through."""


def fits(problem: Problem) -> bool:
    """Samples of real numbers, and a kernel through whose step a gradient goes."""
    return not problem.is_discrete


def make(problem: Problem) -> Rule:
    """Data, the walk and where it ends, and for some walkers one step more, differentiated, and where that ends."""
    negatives = PersistentCD(
        ULA(STEP),
        TRANSITIONS,
        problem.walkers,
        start=GeneratorStart(problem.base),
        energy_penalty=problem.energy_penalty,
    )
    walk = problem.walkers * (TRANSITIONS + 1)
    return Rule(ImprovedCD(negatives, SAMPLES), BATCH + walk + (2 + 1) * SAMPLES)
