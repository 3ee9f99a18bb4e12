"""2-D toy `pinwheel`: five bent arms, for a network with Fourier features."""

from ..problem import Problem
from ..toys import toy_problem

TITLE = "five bent arms in the plane"


def make(seed: int) -> Problem:
    """10,000 points; the density in closed form."""
    return toy_problem("pinwheel", seed, fourier=64, sigma=0.05)
