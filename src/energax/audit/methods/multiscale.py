"""Denoising score matching at five noise levels with one unconditional energy."""

from energax.objectives import MultiscaleDenoising

from ..method import BATCH, Rule
from ..problem import Problem

TITLE = "denoising score matching, five noise levels, one energy"
FACTORS = (1.0, 2.0, 4.0, 8.0, 16.0)


def fits(problem: Problem) -> bool:
    """Samples of real numbers."""
    return not problem.is_discrete


def make(problem: Problem) -> Rule:
    """One gradient in x a datum, differentiated."""
    return Rule(MultiscaleDenoising(tuple(problem.sigma * factor for factor in FACTORS)), 2 * BATCH)
