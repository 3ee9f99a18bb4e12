"""Persistent contrastive divergence: walkers that are never thrown away."""

from energax.objectives import PersistentCD
from energax.objectives.start import GeneratorStart

from ..method import BATCH, Rule
from ..problem import Problem

TITLE = "persistent contrastive divergence"
TRANSITIONS = 5


def fits(problem: Problem) -> bool:
    """Everywhere."""
    return True


def make(problem: Problem) -> Rule:
    """Data, the walk, and where it ends."""
    rule = PersistentCD(
        problem.kernel,
        TRANSITIONS,
        problem.walkers,
        adapt_target=problem.adapt_target,
        energy_penalty=problem.energy_penalty,
        start=GeneratorStart(problem.base),
    )
    return Rule(rule, BATCH + problem.walkers * (TRANSITIONS * problem.step_cost + 1 + 1))
