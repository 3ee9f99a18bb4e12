"""Self-normalised likelihood: log Z is a parameter, held by importance sampling from a density near the data."""

from energax.objectives import SelfNormalisedLikelihood

from ..method import BATCH, Rule, normalised_by
from ..problem import Problem

TITLE = "self-normalised likelihood, 4 proposals a datum"
RATIO = 4


def fits(problem: Problem) -> bool:
    """Everywhere."""
    return True


def make(problem: Problem) -> Rule:
    """The energy at the data and at the proposals; log Z of E + log_z should be 0."""
    noise = problem.noise()
    rule = SelfNormalisedLikelihood(noise, RATIO)
    return Rule(rule, BATCH * (1 + RATIO), wrap=normalised_by(noise), claim=lambda model, metrics: 0.0)
