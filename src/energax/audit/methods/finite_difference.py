"""Score matching by differences of the energy along random directions: no gradient in x at all."""

from energax.objectives import FiniteDifferenceScoreMatching

from ..method import BATCH, Rule
from ..problem import Problem

TITLE = "score matching by finite differences, a direction a datum"


def fits(problem: Problem) -> bool:
    """Samples of real numbers with a density that has a score."""
    return not problem.is_discrete and problem.score is not None


def make(problem: Problem) -> Rule:
    """The energy at the datum and to both sides, as far off as the noise of denoising."""
    return Rule(FiniteDifferenceScoreMatching(problem.sigma), 3 * BATCH)
