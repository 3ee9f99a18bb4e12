"""Sliced score matching: the laplacian by one random direction."""

from energax.objectives import SlicedScoreMatching

from ..method import BATCH, Rule
from ..problem import Problem

TITLE = "sliced score matching, one direction a datum"


def fits(problem: Problem) -> bool:
    """Samples of real numbers."""
    return not problem.is_discrete


def make(problem: Problem) -> Rule:
    """A gradient and one second derivative, differentiated."""
    return Rule(SlicedScoreMatching(), 4 * BATCH)
