"""Denoising score matching with noise that shrinks while training goes on, one energy."""

from energax.objectives import AnnealedDenoising

from ..method import BATCH, Rule
from ..problem import Problem

TITLE = "denoising score matching, noise shrunk 16 times over the first 3,000 steps"
FACTOR, STEPS = 16.0, 3000


def fits(problem: Problem) -> bool:
    """Samples of real numbers."""
    return not problem.is_discrete


def make(problem: Problem) -> Rule:
    """One gradient in x a datum, differentiated."""
    return Rule(AnnealedDenoising(FACTOR * problem.sigma, problem.sigma, STEPS), 2 * BATCH)
