"""Persistent contrastive divergence with the gradient through the last step and an entropy of neighbours."""

from energax.objectives import ImprovedCD, PersistentCD

from ..method import Rule
from ..problem import Problem
from . import pcd

TITLE = "improved contrastive divergence, gradient through the last step"
SAMPLES = 64


def fits(problem: Problem) -> bool:
    """Samples of real numbers, and a kernel through whose step a gradient goes."""
    return not problem.is_discrete


def make(problem: Problem) -> Rule:
    """What `pcd` does, and one step more for some walkers, differentiated."""
    negatives = pcd.make(problem)
    assert isinstance(negatives.objective, PersistentCD)
    return Rule(ImprovedCD(negatives.objective, SAMPLES), negatives.evaluations + 5 * SAMPLES)
