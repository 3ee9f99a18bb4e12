"""2-D toy `spirals`: thin arms, for a network with Fourier features."""

from ..problem import Problem
from ..toys import toy_problem

TITLE = "two spirals in the plane"


def make(seed: int) -> Problem:
    """10,000 points; the density by quadrature."""
    return toy_problem("spirals", seed, fourier=64, sigma=0.05)
