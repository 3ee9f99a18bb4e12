"""Energy discrepancy: the datum against copies that were perturbed twice."""

from energax.objectives import DiscreteEnergyDiscrepancy, EnergyDiscrepancy

from ..method import BATCH, Rule
from ..problem import Problem

TITLE = "energy discrepancy, 16 copies a datum"
RATIO, WIDTH, CHANGE = 16, 3.0, 0.1


def fits(problem: Problem) -> bool:
    """Everywhere."""
    return True


def make(problem: Problem) -> Rule:
    """The energy at the data and at their copies; real ones get three times the noise of denoising."""
    cost = BATCH * (1 + RATIO)
    if problem.sites is None:
        return Rule(EnergyDiscrepancy(WIDTH * problem.sigma, RATIO), cost)
    return Rule(DiscreteEnergyDiscrepancy(problem.sites, CHANGE, RATIO), cost)
