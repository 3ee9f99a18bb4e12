"""Exact answers for energies in the plane, on a grid twice as wide as the box that holds the data.

Source: the midpoint rule (Davis and Rabinowitz 1984, Methods of numerical integration, section 2.1). Mass that a model
leaks out of the box counts against it up to twice the box.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import logsumexp

from energax.core import AbstractEnergy
from energax.evaluation import Grid, energy_values, kl_on_grid, make_grid, nearest_mode

from .problem import Diverged, Seen

CELLS = 200
DRAWS = 2000


@dataclass(frozen=True, eq=False)
class Plane:
    """A truth in the plane.

    Attributes:
        log_prob: Its log density in nats, rows [n, 2] -> [n].
        box: (low, high) of the square that holds the data.
        modes: Centres [m, 2]; m = 0 where there are none.
    """

    log_prob: Callable[[np.ndarray], np.ndarray]
    box: tuple[float, float]
    modes: np.ndarray

    @cached_property
    def grid(self) -> Grid:
        """Where it is looked at."""
        middle, half = 0.5 * (self.box[0] + self.box[1]), self.box[1] - self.box[0]
        return make_grid(middle - half, middle + half, CELLS)

    @cached_property
    def known(self) -> np.ndarray:
        """The truth on the grid, in nats."""
        return np.asarray(self.log_prob(self.grid.points()), np.float64).ravel()

    def look(self, energy: AbstractEnergy, seed: int) -> Seen:
        """log Z, KL, mode masses and draws, all by the grid.

        Raises:
            Diverged: The energy is NaN or -inf somewhere.
        """
        points = self.grid.points()
        values = energy_values(energy, points.astype(np.float32), batch_size=4096)
        if np.any(np.isnan(values) | (values == -np.inf)):
            raise Diverged("Plane.look: energy must not be NaN or -inf; got one that is.")
        log_z = float(logsumexp(-values) + np.log(self.grid.cell))
        chances = np.exp(-values - logsumexp(-values))
        rng = np.random.default_rng([seed, 7])
        rows = rng.choice(len(points), DRAWS, p=chances / chances.sum())
        draws = points[rows] + np.sqrt(self.grid.cell) * (rng.random((DRAWS, 2)) - 0.5)
        return Seen((log_z, log_z), kl_on_grid(self.known, -values, self.grid.cell), self._masses(chances), draws)

    def score(self, x: np.ndarray) -> np.ndarray:
        """grad log p by central differences, [n, 2]."""
        step, columns = 1e-4, []
        for axis in np.eye(2):
            ahead, behind = (self.log_prob(np.asarray(x, np.float64) + sign * step * axis) for sign in (1.0, -1.0))
            columns.append((ahead - behind) / (2.0 * step))
        return np.stack(columns, axis=1)

    def _masses(self, chances: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        if not len(self.modes):
            return None
        nearest = nearest_mode(self.grid.points(), self.modes)
        true = np.exp(self.known - logsumexp(self.known))
        both = [np.bincount(nearest, weights, minlength=len(self.modes)) for weights in (true, chances)]
        return both[0], both[1]
