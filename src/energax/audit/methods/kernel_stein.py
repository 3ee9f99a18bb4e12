"""Kernel Stein discrepancy: the scores of a batch compared through a kernel, with no score of the truth."""

import math

from energax.objectives import KernelStein

from ..method import BATCH, Rule
from ..problem import Problem

TITLE = "kernel Stein discrepancy, width twice the noise of denoising in the plane"
FACTOR = 2.0


def fits(problem: Problem) -> bool:
    """Samples of real numbers."""
    return not problem.is_discrete


def make(problem: Problem) -> Rule:
    """One gradient in x a datum, differentiated; the kernel of all pairs costs no evaluation."""
    return Rule(KernelStein(FACTOR * problem.sigma * math.sqrt(problem.dim / 2)), 2 * BATCH)
