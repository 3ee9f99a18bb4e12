"""Two half circles, blurred: smooth and connected."""

from ..problem import Problem
from ..toys import toy_problem

TITLE = "two half circles in the plane"


def make(seed: int) -> Problem:
    """10,000 points; the density by quadrature."""
    return toy_problem("moons", seed)
