"""Ratio matching: ratios of one-site changes are matched."""

from energax.objectives import RatioMatching

from ..method import BATCH, Rule, neighbours
from ..problem import Problem

TITLE = "ratio matching"


def fits(problem: Problem) -> bool:
    """Discrete samples."""
    return problem.is_discrete


def make(problem: Problem) -> Rule:
    """The energy at the data and at all one-site changes, or one gradient where that tells them all."""
    assert problem.sites is not None
    return Rule(RatioMatching(problem.sites, problem.linear), BATCH * neighbours(problem))
