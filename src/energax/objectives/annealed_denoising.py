"""Denoising score matching whose noise shrinks while training goes on.

Source: the annealing of noise levels of Song and Ermon (2019), Generative modeling by estimating gradients of the data
    distribution, arXiv:1907.05600, sec. 4, moved from sampling into training. What differs: one level at a time, on a
    geometric way from `start` to `end` in the step, with one energy; each level begins where the last one ended.
Estimates, once the way is done, what `DenoisingScoreMatching(end)` does: the energy of the data smoothed by the last
level. On the way it gives the energy a shape between the modes, where the last level alone has no data. Cost: as one
level.
Fails as `DenoisingScoreMatching` does on mode masses: what the early levels knew of them is forgotten within a few
hundred steps of the last.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Int, Scalar

from energax.core import AbstractEnergy, AbstractObjective, Batch, Key, Metrics, checks
from energax.numerics.microbatch import mean_in_chunks
from energax.numerics.tree import normal_like

from .denoising import miss
from .negatives import check_energy


class AnnealedDenoising(AbstractObjective):
    """1/2 E |sigma grad E(x + sigma e) - e|^2, sigma = start (end / start)^(step / num_steps), then end.

    Carries the number of steps taken. Metrics: `score_norm`, the mean of |grad E| at the noisy points, in 1 / units of
    x, and `sigma`.

    Args:
        start: First standard deviation of the noise, in the units of x, > end; about the data's own.
        end: Last standard deviation, > 0.
        num_steps: Steps from the first to the last, >= 1.
        chunk_size: Rows whose gradient is taken at a time, >= 1; 8 is good for image networks on a CPU. None takes all.

    Raises:
        ValueError: A field is outside its range.

    Example:
        >>> import jax
        >>> from energax.energies import standard_normal
        >>> rule, batch = AnnealedDenoising(1.0, 0.25, 2), {"x": jnp.zeros((8, 2))}
        >>> state, sigmas = rule.init(jax.random.key(0), standard_normal(2), batch), []
        >>> for i in range(4):
        ...     _, (state, metrics) = rule(jax.random.key(i), standard_normal(2), state, batch)
        ...     sigmas.append(float(metrics["sigma"]))
        >>> sigmas
        [1.0, 0.5, 0.25, 0.25]
    """

    start: float
    end: float
    num_steps: int
    chunk_size: int | None = None

    def __check_init__(self):
        checks.positive("AnnealedDenoising", "start", self.start)
        checks.positive("AnnealedDenoising", "end", self.end)
        if not self.start > self.end:
            raise ValueError(f"AnnealedDenoising.start must be > end, {self.end}; got {self.start}.")
        checks.count("AnnealedDenoising", "num_steps", self.num_steps)
        if self.chunk_size is not None:
            checks.count("AnnealedDenoising", "chunk_size", self.chunk_size)

    def init(self, key: Key, model: Any, batch: Batch) -> Int[Array, ""]:
        """No step taken; refuses a model that is no energy of one row of `batch["x"]`."""
        check_energy("AnnealedDenoising", model, batch["x"])
        return jnp.zeros((), jnp.int32)

    def __call__(
        self, key: Key, model: AbstractEnergy, state: Int[Array, ""], batch: Batch
    ) -> tuple[Scalar, tuple[Int[Array, ""], Metrics]]:
        share = jnp.minimum(state.astype(jnp.float32) / self.num_steps, 1.0)
        sigma = self.start * (self.end / self.start) ** share
        rows = (batch["x"], normal_like(key, batch["x"]))
        loss, norm = mean_in_chunks(lambda m, row: miss(m, row[0], row[1], sigma), model, rows, self.chunk_size)
        return loss, (state + 1, {"score_norm": norm, "sigma": sigma})
