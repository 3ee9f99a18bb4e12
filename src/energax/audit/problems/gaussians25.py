"""2-D toy `gaussians25`: 25 equal modes, for a network with Fourier features."""

from ..problem import Problem
from ..toys import toy_problem

TITLE = "25 narrow Gaussians on a grid in the plane"


def make(seed: int) -> Problem:
    """10,000 points; the density in closed form."""
    return toy_problem("gaussians25", seed, fourier=64, sigma=0.05)
