"""Denoising score matching at many noise levels with one network.

Source: Song and Ermon (2019), arXiv:1907.05600, eqs. (5)-(6) with lambda(sigma) = sigma^2; one unconditional energy
    for all levels: Song and Ermon (2020), arXiv:2006.09011, technique 3 (score(x, sigma) = score(x) / sigma); for
    energies, Li, Chen and Sommer (2019), arXiv:1910.07762.
What differs: the unconditional form is E(x, sigma) = (sigma_1 / sigma) E(x), with sigma_1 the smallest level. It is
technique 3 with the network's scale fixed by sigma_1, so that E itself is the energy of the data smoothed by
sigma_1 and can be sampled, plotted and scored as it stands. Levels are dealt out to the rows of a batch in turn,
from a random first one.
Estimates, with `conditional=True`, the energy of the data smoothed by each level: precision 1 / (s^2 + sigma_i^2)
for Gaussian data of variance s^2, exactly. The unconditional form is a compromise between levels: on Gaussian data
its best quadratic has precision sum_i sigma_i / (sigma_1 sum_i (s^2 + sigma_i^2)), which is exact only for one
level. It is sharp where x itself tells the noise level (many dimensions). Cost: as one level, whatever their
number.
Fails as `denoising` does on mode masses.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractEnergy, AbstractObjective, Batch, Key, Metrics, checks
from energax.numerics.microbatch import mean_in_chunks
from energax.numerics.tree import normal_like

from .denoising import miss
from .negatives import check_energy


class MultiscaleDenoising(AbstractObjective):
    """mean over levels of 1/2 E |sigma_i grad E(x + sigma_i e, sigma_i) - e|^2, e ~ N(0, 1).

    Carries no state. Metrics: `score_norm`, the mean of |sigma grad E(., sigma)|, which is near sqrt(dim) at any level
    where the noise rules.

    Args:
        sigmas: Noise levels in the units of x, all > 0, rising; usually geometric, from the finest structure to the
            data's own spread.
        conditional: False reads the model as an energy of x alone, E(x, sigma) = (sigma_1 / sigma) E(x); True calls
            `model(x, sigma)`.
        chunk_size: Rows whose gradient is taken at a time, >= 1; 8 is good for image networks on a CPU. None takes all.

    Raises:
        ValueError: `sigmas` is empty, not rising, or holds a level that is not a positive number.

    Example:
        >>> MultiscaleDenoising((0.1, 0.3, 1.0)).levels(jax.random.key(0), 4).shape
        (4,)
    """

    sigmas: tuple[float, ...]
    conditional: bool = False
    chunk_size: int | None = None

    def __check_init__(self):
        if self.chunk_size is not None:
            checks.count("MultiscaleDenoising", "chunk_size", self.chunk_size)
        checks.positive("MultiscaleDenoising", "sigmas", jnp.asarray(self.sigmas, jnp.float32))
        if any(a >= b for a, b in zip(self.sigmas, self.sigmas[1:], strict=False)):
            raise ValueError(f"MultiscaleDenoising.sigmas must rise; got {tuple(self.sigmas)}.")

    def init(self, key: Key, model: Any, batch: Batch) -> None:
        """Nothing is carried; refuses a model that is no energy of one row of `batch["x"]`."""
        cond = jnp.asarray(self.sigmas[0], jax.tree.leaves(batch["x"])[0].dtype) if self.conditional else None
        check_energy("MultiscaleDenoising", model, batch["x"], cond)

    def levels(self, key: Key, num: int) -> Float[Array, " num"]:
        """The noise level of each of `num` rows: every level equally often, up to one row."""
        first = jax.random.randint(key, (), 0, len(self.sigmas))
        return jnp.asarray(self.sigmas, jnp.float32)[(first + jnp.arange(num)) % len(self.sigmas)]

    def at(self, model: AbstractEnergy, sigma: Scalar) -> AbstractEnergy:
        """E(., sigma) as an energy of x alone."""
        return model.given(sigma) if self.conditional else (self.sigmas[0] / sigma) * model

    def __call__(
        self, key: Key, model: AbstractEnergy, state: None, batch: Batch
    ) -> tuple[Scalar, tuple[None, Metrics]]:
        pick, draw = jax.random.split(key)
        leaf = jax.tree.leaves(batch["x"])[0]
        sigmas = self.levels(pick, leaf.shape[0]).astype(leaf.dtype)
        noise = normal_like(draw, batch["x"])

        def one(model: AbstractEnergy, row: Any) -> tuple[Scalar, Scalar]:
            x, e, sigma = row
            value, norm = miss(self.at(model, sigma), x, e, sigma)
            return value, sigma * norm

        loss, norm = mean_in_chunks(one, model, (batch["x"], noise, sigmas), self.chunk_size)
        return loss, (None, {"score_norm": norm})
