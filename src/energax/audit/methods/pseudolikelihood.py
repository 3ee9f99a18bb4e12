"""Pseudolikelihood: every site is predicted from all others."""

from energax.objectives import Pseudolikelihood

from ..method import BATCH, Rule, neighbours
from ..problem import Problem

TITLE = "pseudolikelihood"


def fits(problem: Problem) -> bool:
    """Discrete samples."""
    return problem.is_discrete


def make(problem: Problem) -> Rule:
    """The energy at the data and at all one-site changes, or one gradient where that tells them all."""
    assert problem.sites is not None
    return Rule(Pseudolikelihood(problem.sites, problem.linear), BATCH * neighbours(problem))
