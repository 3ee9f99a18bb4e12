"""Two round modes 12 standard deviations apart, masses .25 and .75, for a network: chains never cross."""

from functools import cache

import numpy as np

from energax.data import UnequalMixture

from ..plane import Plane
from ..problem import Problem
from ..toys import HELDOUT, TRAIN, plane_problem

TITLE = "two modes of masses .25 and .75 in the plane, 12 sigma apart"
MIXTURE = UnequalMixture(2, (0.25, 0.75), (-7.5, 4.5))
OFFSET, SCALE = np.array([1.5, 0.0]), 3.8


def make(seed: int) -> Problem:
    """10,000 points, centred and scaled to about unit variance by known numbers."""
    plane = _plane()
    train, heldout = (draw([seed, 1], TRAIN), draw([10**6], HELDOUT))
    return plane_problem(plane, train, heldout, seed, score=plane.score)


def draw(seed: list[int], num: int) -> np.ndarray:
    """`num` points of the truth."""
    return ((MIXTURE.sample(np.random.default_rng(seed), num) - OFFSET) / SCALE).astype(np.float32)


@cache
def _plane() -> Plane:
    def log_prob(x: np.ndarray) -> np.ndarray:
        return MIXTURE.log_prob(np.asarray(x, np.float64) * SCALE + OFFSET) + 2.0 * np.log(SCALE)

    return Plane(log_prob, (-4.0, 4.0), (MIXTURE.modes - OFFSET) / SCALE)
