"""Conditional noise-contrastive estimation: the datum is told from noisy copies of itself."""

from energax.objectives import ConditionalNoiseContrastive

from ..method import BATCH, Rule
from ..problem import Problem

TITLE = "conditional noise-contrastive estimation, 4 noisy copies a datum"
RATIO, WIDTH = 4, 3.0


def fits(problem: Problem) -> bool:
    """Samples of real numbers."""
    return not problem.is_discrete


def make(problem: Problem) -> Rule:
    """The energy at the data and at the copies, whose noise is three times that of denoising."""
    return Rule(ConditionalNoiseContrastive(WIDTH * problem.sigma, RATIO), BATCH * (1 + RATIO))
