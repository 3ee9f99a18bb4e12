"""Short-run maximum likelihood: walkers born anew from the base in every step, never kept."""

from energax.objectives import GeneratorStart, ShortRun

from ..method import BATCH, Rule
from ..problem import Problem

TITLE = "short runs from the base, 20 transitions"
TRANSITIONS = 20


def fits(problem: Problem) -> bool:
    """Everywhere."""
    return True


def make(problem: Problem) -> Rule:
    """Data, the walk, and where it ends."""
    rule = ShortRun(
        problem.kernel,
        TRANSITIONS,
        problem.walkers,
        start=GeneratorStart(problem.base),
        energy_penalty=problem.energy_penalty,
    )
    return Rule(rule, BATCH + problem.walkers * (TRANSITIONS * problem.step_cost + 1 + 1))
