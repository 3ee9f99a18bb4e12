"""Kernel Stein discrepancy: the scores of a batch compared through a kernel, with no score of the truth."""

import numpy as np
from scipy.spatial.distance import pdist

from energax.objectives import KernelStein

from ..method import BATCH, Rule
from ..problem import Problem

TITLE = "kernel Stein discrepancy, width the median distance"


def fits(problem: Problem) -> bool:
    """Samples of real numbers."""
    return not problem.is_discrete


def make(problem: Problem) -> Rule:
    """One gradient in x a datum, differentiated; the kernel of all pairs costs no evaluation."""
    some = problem.train[:500].reshape(500, -1)
    return Rule(KernelStein(float(np.median(pdist(some)))), 2 * BATCH)
