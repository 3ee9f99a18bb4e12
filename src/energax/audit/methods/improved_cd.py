"""Persistent contrastive divergence with the gradient through the last step and an entropy of neighbours."""

from energax.objectives import GeneratorStart, ImprovedCD, PersistentCD

from ..method import BATCH, Rule
from ..problem import Problem

TITLE = "improved contrastive divergence, gradient through the last step"
TRANSITIONS, SAMPLES = 5, 64


def fits(problem: Problem) -> bool:
    """Samples of real numbers, and a kernel through whose step a gradient goes."""
    return not problem.is_discrete


def make(problem: Problem) -> Rule:
    """Data, the walk, where it ends, and one step more for some, differentiated."""
    negatives = PersistentCD(
        problem.kernel,
        TRANSITIONS,
        problem.walkers,
        adapt_target=problem.adapt_target,
        start=GeneratorStart(problem.base),
    )
    walk = BATCH + problem.walkers * (TRANSITIONS * problem.step_cost + 1 + 1)
    return Rule(ImprovedCD(negatives, SAMPLES), walk + SAMPLES * 5)
