"""Sliced score matching by finite differences: three energies a direction and no derivative in x at all.

Source: Pang, Xu, Li, Song, Ermon and Zhu (2020), Efficient learning of generative models via finite-difference score
    matching, arXiv:2007.03317, sec. 4.2 (FD-SSM). What differs: pytrees; the sign is that of energies.
Estimates the loss of `SlicedScoreMatching` (not reduced) up to O(step^2). Cost: three energies a direction,
differentiated once in the parameters: no second derivatives, and energies without any in x (piecewise linear ones fail
all the same: their curvature is zero wherever it is looked at).
Fails as `ScoreMatching` does on mode masses; below a step of about 0.01 of the width of a mode the second difference of
float32 energies is rounding (error eps |E| / step^2), above a tenth of it the density is smoothed.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree, Scalar

from energax.core import AbstractEnergy, AbstractObjective, Batch, Key, Metrics, X, checks
from energax.numerics.microbatch import mean_in_chunks
from energax.numerics.tree import add_scaled

from .negatives import check_energy
from .sliced import check_directions, draw_directions


class FiniteDifferenceScoreMatching(AbstractObjective):
    """E_v E [1/2 (first difference of E along v)^2 - second difference of E along v]; units 1 / x^2.

    Carries no state. Metrics: `curvature`, the mean second difference at the data.

    Args:
        step: Length of the difference along v, in the units of x, > 0; v has unit second moment in each coordinate.
        num_slices: Directions a sample, >= 1.
        directions: "signs" (+-1 in each coordinate) or "normal".
        chunk_size: Rows whose gradient is taken at a time, >= 1; None takes all.

    Raises:
        ValueError: A field is outside its range.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> energy = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))
        >>> loss, _ = FiniteDifferenceScoreMatching(0.1)(jax.random.key(0), energy, None, {"x": jnp.ones((4, 1))})
        >>> round(float(loss), 4)
        -0.5
    """

    step: float = 0.1
    num_slices: int = 1
    directions: str = "signs"
    chunk_size: int | None = None

    def __check_init__(self):
        checks.positive("FiniteDifferenceScoreMatching", "step", self.step)
        checks.count("FiniteDifferenceScoreMatching", "num_slices", self.num_slices)
        check_directions("FiniteDifferenceScoreMatching", self.directions)
        if self.chunk_size is not None:
            checks.count("FiniteDifferenceScoreMatching", "chunk_size", self.chunk_size)

    def init(self, key: Key, model: Any, batch: Batch) -> None:
        """Nothing is carried; refuses a model that is no energy of one row of `batch["x"]`."""
        check_energy("FiniteDifferenceScoreMatching", model, batch["x"])

    def __call__(
        self, key: Key, model: AbstractEnergy, state: None, batch: Batch
    ) -> tuple[Scalar, tuple[None, Metrics]]:
        slices = draw_directions(key, batch["x"], self.num_slices, self.directions)
        loss, metrics = mean_in_chunks(self._one, model, (batch["x"], slices), self.chunk_size)
        return loss, (None, metrics)

    def _one(self, energy: AbstractEnergy, row: tuple[X, PyTree]) -> tuple[Scalar, Metrics]:
        """The loss of one sample over its own directions, and what is told of it."""
        x, slices = row
        here = energy(x)

        def along(v: X) -> tuple[Scalar, Scalar]:
            ahead, behind = energy(add_scaled(x, self.step, v)), energy(add_scaled(x, -self.step, v))
            return (ahead - behind) / (2.0 * self.step), (ahead + behind - 2.0 * here) / self.step**2

        slope, curvature = jax.vmap(along)(slices)
        return 0.5 * jnp.mean(slope**2) - jnp.mean(curvature), {"curvature": jnp.mean(curvature)}
