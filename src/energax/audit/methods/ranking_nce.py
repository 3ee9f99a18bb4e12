"""Ranking noise-contrastive estimation (InfoNCE): the datum is named among samples of the noise."""

from energax.objectives import RankingNoiseContrastive

from ..method import BATCH, Rule
from ..problem import Problem

TITLE = "ranking noise-contrastive estimation, 4 noise samples a datum"
RATIO = 4


def fits(problem: Problem) -> bool:
    """Everywhere."""
    return True


def make(problem: Problem) -> Rule:
    """The energy at the data and at the noise."""
    return Rule(RankingNoiseContrastive(problem.noise(), RATIO), BATCH * (1 + RATIO))
