"""Concrete score matching: ratios of one-site changes are regressed."""

from energax.objectives import ConcreteScoreMatching

from ..method import BATCH, Rule, neighbours
from ..problem import Problem

TITLE = "concrete score matching"


def fits(problem: Problem) -> bool:
    """Discrete samples."""
    return problem.is_discrete


def make(problem: Problem) -> Rule:
    """The energy at the data and at all one-site changes, or one gradient where that tells them all."""
    assert problem.sites is not None
    return Rule(ConcreteScoreMatching(problem.sites, problem.linear), BATCH * neighbours(problem))
