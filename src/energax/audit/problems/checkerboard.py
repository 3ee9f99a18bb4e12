"""2-D toy `checkerboard`: sharp edges, for a network with Fourier features."""

from ..problem import Problem
from ..toys import toy_problem

TITLE = "a checkerboard in the plane"


def make(seed: int) -> Problem:
    """10,000 points; the density in closed form."""
    return toy_problem("checkerboard", seed, fourier=64, sigma=0.05, smooth=False)
