"""Denoising score matching with one noise level."""

from energax.objectives import DenoisingScoreMatching

from ..method import BATCH, Rule
from ..problem import Problem

TITLE = "denoising score matching, one noise level"


def fits(problem: Problem) -> bool:
    """Samples of real numbers."""
    return not problem.is_discrete


def make(problem: Problem) -> Rule:
    """One gradient in x a datum, differentiated."""
    return Rule(DenoisingScoreMatching(problem.sigma), 2 * BATCH)
