"""Score matching with the exact trace of the Hessian.

Source: Hyvarinen (2005), Estimation of non-normalized statistical models by score matching,
    jmlr.org/papers/v6/hyvarinen05a.html, eq. (4). What differs: pytrees; the sign is that of energies.
Estimates half the Fisher divergence 1/2 E_data |grad E - grad E_data|^2 up to a constant of the data, without knowing
the data's density; for a Gaussian its minimiser is the maximum likelihood estimate. Cost: dim + 1 gradients of the
energy a sample, differentiated once more in the parameters; no chain, no noise.
Fails on separated modes: their masses are invisible (weights 1/4 and 3/4 against 1/2 and 1/2, modes at +-5, unit
width: 0.13 nats, Fisher divergence 3e-6); in many dimensions the trace is too dear: `SlicedScoreMatching`. Overfits
sharply: on finitely many points the minimum is -infinity, a spike on each.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Scalar

from energax.core import AbstractEnergy, AbstractObjective, Batch, Key, Metrics, X, checks
from energax.numerics.microbatch import mean_in_chunks

from .negatives import check_energy


class ScoreMatching(AbstractObjective):
    """E [1/2 |grad E(x)|^2 - laplacian E(x)], averaged over the batch; units 1 / x^2.

    Carries no state. Metrics: `score_norm`, the mean of |grad E| at the data, in 1 / units of x; `curvature`, the mean
    laplacian of E there.

    Args:
        chunk_size: Rows whose gradient is taken at a time, >= 1; None takes all.

    Raises:
        ValueError: `chunk_size` is not a positive integer.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> energy = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))
        >>> loss, _ = ScoreMatching()(jax.random.key(0), energy, None, {"x": jnp.ones((4, 2))})
        >>> float(loss)
        -1.0
    """

    chunk_size: int | None = None

    def __check_init__(self):
        if self.chunk_size is not None:
            checks.count("ScoreMatching", "chunk_size", self.chunk_size)

    def init(self, key: Key, model: Any, batch: Batch) -> None:
        """Nothing is carried; refuses a model that is no energy of one row of `batch["x"]`."""
        check_energy("ScoreMatching", model, batch["x"])

    def __call__(
        self, key: Key, model: AbstractEnergy, state: None, batch: Batch
    ) -> tuple[Scalar, tuple[None, Metrics]]:
        loss, metrics = mean_in_chunks(_one, model, batch["x"], self.chunk_size)
        return loss, (None, metrics)


def _one(energy: AbstractEnergy, x: X) -> tuple[Scalar, Metrics]:
    """The loss of one sample, and what is told of it."""
    flat, unravel = ravel_pytree(x)
    slope = jax.grad(lambda flat: energy(unravel(flat)))

    def along(axis: Any) -> Scalar:
        return jnp.vdot(axis, jax.jvp(slope, (flat,), (axis,))[1])

    squared, laplacian = jnp.sum(slope(flat) ** 2), jnp.sum(jax.vmap(along)(jnp.eye(flat.size, dtype=flat.dtype)))
    return 0.5 * squared - laplacian, {"score_norm": jnp.sqrt(squared), "curvature": laplacian}
