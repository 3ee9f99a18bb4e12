"""Implicit score matching with the exact laplacian."""

from energax.objectives import ScoreMatching

from ..method import BATCH, Rule
from ..problem import Problem

TITLE = "score matching with the exact laplacian"


def fits(problem: Problem) -> bool:
    """Samples of real numbers."""
    return not problem.is_discrete


def make(problem: Problem) -> Rule:
    """A gradient and as many second derivatives as there are numbers in a datum, differentiated."""
    return Rule(ScoreMatching(), 2 * (1 + problem.dim) * BATCH)
