"""Sliced score matching: the trace of the Hessian along random directions.

Source: Song, Garg, Shi and Ermon (2019), Sliced score matching: a scalable approach to density and score estimation,
    arXiv:1905.07088, eqs. (7) and (8); the estimator is Hutchinson's (1990), doi:10.1080/03610919008812866.
What differs: pytrees; the sign is that of energies; the reduced-variance form is the default.
Estimates the loss of `ScoreMatching` without bias over the directions, and in one dimension with signs exactly. Cost:
one gradient and one Hessian-vector product a slice, differentiated once more in the parameters.
Fails as `ScoreMatching` does on mode masses; its variance grows with the off-diagonal curvature (signs) or with all of
it (normal directions).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree, Scalar

from energax.core import AbstractEnergy, AbstractObjective, Batch, Key, Metrics, X, checks
from energax.numerics.microbatch import mean_in_chunks
from energax.numerics.tree import dot, normal_like, squared_norm

from .negatives import check_energy


class SlicedScoreMatching(AbstractObjective):
    """E_v E [1/2 |grad E|^2 - v' (hess E) v] over directions v of unit second moment; units 1 / x^2.

    Carries no state. Metrics: `score_norm`, the mean of |grad E| at the data, in 1 / units of x; `curvature`, the mean
    of v' (hess E) v there.

    Args:
        num_slices: Directions a sample, >= 1.
        directions: "signs" (+-1 in each coordinate, the smaller variance) or "normal".
        reduced: Whether |grad E|^2 is taken whole (the paper's SSM-VR) and not as (v . grad E)^2.
        chunk_size: Rows whose gradient is taken at a time, >= 1; None takes all.

    Raises:
        ValueError: A field is outside its range.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> energy = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))
        >>> loss, _ = SlicedScoreMatching()(jax.random.key(0), energy, None, {"x": jnp.ones((4, 2))})
        >>> float(loss)
        -1.0
    """

    num_slices: int = 1
    directions: str = "signs"
    reduced: bool = True
    chunk_size: int | None = None

    def __check_init__(self):
        checks.count("SlicedScoreMatching", "num_slices", self.num_slices)
        check_directions("SlicedScoreMatching", self.directions)
        if self.chunk_size is not None:
            checks.count("SlicedScoreMatching", "chunk_size", self.chunk_size)

    def init(self, key: Key, model: Any, batch: Batch) -> None:
        """Nothing is carried; refuses a model that is no energy of one row of `batch["x"]`."""
        check_energy("SlicedScoreMatching", model, batch["x"])

    def __call__(
        self, key: Key, model: AbstractEnergy, state: None, batch: Batch
    ) -> tuple[Scalar, tuple[None, Metrics]]:
        slices = draw_directions(key, batch["x"], self.num_slices, self.directions)
        loss, metrics = mean_in_chunks(self._one, model, (batch["x"], slices), self.chunk_size)
        return loss, (None, metrics)

    def _one(self, energy: AbstractEnergy, row: tuple[X, PyTree]) -> tuple[Scalar, Metrics]:
        """The loss of one sample over its own directions, and what is told of it."""
        x, slices = row

        def along(v: X) -> tuple[Scalar, Scalar, Scalar]:
            gradient, change = jax.jvp(jax.grad(energy), (x,), (v,))
            squared = squared_norm(gradient)
            return squared if self.reduced else dot(v, gradient) ** 2, dot(v, change), squared

        taken, curvature, squared = (jnp.mean(part) for part in jax.vmap(along)(slices))
        return 0.5 * taken - curvature, {"score_norm": jnp.sqrt(squared), "curvature": curvature}


def draw_directions(key: Key, xs: PyTree, num: int, directions: str) -> PyTree:
    """`num` directions of unit second moment for every row: leaves [rows, num, ...]."""
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((leaf.shape[0], num, *leaf.shape[1:]), leaf.dtype), xs)
    noise = normal_like(key, shapes)
    return (
        jax.tree.map(lambda leaf: jnp.where(leaf < 0, -1.0, 1.0).astype(leaf.dtype), noise)
        if (directions == "signs")
        else noise
    )


def check_directions(owner: str, directions: str) -> None:
    """Raises ValueError unless the directions are of a kind that is known."""
    if directions not in ("signs", "normal"):
        raise ValueError(f"{owner}.directions must be 'signs' or 'normal'; got {directions!r}.")
