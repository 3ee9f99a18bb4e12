"""Maximum likelihood with the exact log Z: the limit that others are held against; it is not held to the budget."""

from energax.objectives import ExactLikelihood, FormulaLikelihood

from ..method import BATCH, Rule
from ..problem import Problem

TITLE = "exact maximum likelihood (the limit; no budget)"


def fits(problem: Problem) -> bool:
    """Where log Z can be had."""
    return problem.nodes is not None or problem.log_z is not None


def make(problem: Problem) -> Rule:
    """By the problem's nodes, else by its formula."""
    if problem.nodes is None:
        assert problem.log_z is not None
        return Rule(FormulaLikelihood(problem.log_z), BATCH + 1, problem.limit_steps)
    nodes, log_weights = problem.nodes()
    return Rule(ExactLikelihood(nodes, log_weights), BATCH + len(nodes), problem.limit_steps)
