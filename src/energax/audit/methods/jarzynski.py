"""Jarzynski-corrected training: walkers carry the work of the moving model, judged and refreshed by held-out ones."""

from energax.objectives import Jarzynski

from ..method import BATCH, Rule
from ..problem import Problem

TITLE = "Jarzynski-corrected, held-out walkers, refreshed every 100 steps"
TRANSITIONS, REFRESH, APART = 2, 100, 100
"""Of every walker in a step; steps between two refreshes; transitions that new drivers make before they drive."""


def fits(problem: Problem) -> bool:
    """Everywhere."""
    return True


def make(problem: Problem) -> Rule:
    """Both halves before, on and after the walk, new drivers on theirs; the drivers and the data in the loss."""
    rule = Jarzynski(
        problem.kernel,
        problem.base,
        num_chains=problem.walkers,
        num_steps=TRANSITIONS,
        refresh=REFRESH,
        refresh_moves=APART,
        adapt_target=problem.adapt_target,
    )
    walk = 2 * problem.walkers * (1 + (TRANSITIONS * problem.step_cost + 1) + 1)
    refresh = problem.walkers * ((APART * problem.step_cost + 1) + 1)
    return Rule(
        rule, BATCH + problem.walkers + walk + refresh // REFRESH, claim=lambda model, metrics: metrics["log_z"]
    )
