"""Contrastive divergence: five transitions from the data."""

from energax.objectives import ContrastiveDivergence

from ..method import BATCH, Rule
from ..problem import Problem

TITLE = "contrastive divergence, 5 transitions from the data"
TRANSITIONS = 5


def fits(problem: Problem) -> bool:
    """Everywhere."""
    return True


def make(problem: Problem) -> Rule:
    """Data, the walk, and where it ends."""
    rule = ContrastiveDivergence(problem.kernel, TRANSITIONS, adapt_target=problem.adapt_target)
    return Rule(rule, BATCH * (1 + (TRANSITIONS * problem.step_cost + 1) + 1))
