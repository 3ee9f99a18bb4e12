"""Persistent contrastive divergence whose walkers move under fast weights as well."""

from energax.objectives import FastWeightsPCD, GeneratorStart

from ..method import BATCH, Rule
from ..problem import Problem

TITLE = "persistent contrastive divergence with fast weights"
TRANSITIONS, RATE, DECAY = 5, 0.01, 0.95


def fits(problem: Problem) -> bool:
    """Everywhere."""
    return True


def make(problem: Problem) -> Rule:
    """Data, the walk, where it ends, and the gradient of the step once more for the fast weights."""
    rule = FastWeightsPCD(
        problem.kernel,
        TRANSITIONS,
        problem.walkers,
        fast_rate=RATE,
        decay=DECAY,
        start=GeneratorStart(problem.base),
        energy_penalty=problem.energy_penalty,
    )
    return Rule(rule, 2 * BATCH + problem.walkers * (TRANSITIONS * problem.step_cost + 1 + 2))
