"""Minimum probability flow: the flow out of the data is made small."""

from energax.objectives import MinimumProbabilityFlow

from ..method import BATCH, Rule, neighbours
from ..problem import Problem

TITLE = "minimum probability flow"


def fits(problem: Problem) -> bool:
    """Discrete samples."""
    return problem.is_discrete


def make(problem: Problem) -> Rule:
    """The energy at the data and at all one-site changes, or one gradient where that tells them all."""
    assert problem.sites is not None
    return Rule(MinimumProbabilityFlow(problem.sites, problem.linear), BATCH * neighbours(problem))
