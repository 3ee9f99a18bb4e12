"""What happens to a batch before any objective sees it: noise that makes a density exist, and whitened coordinates."""

from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax.core import Batch, Key, checks


@runtime_checkable
class Coordinates(Protocol):
    """What `Dequantise` asks of coordinates: x = mean + factor z. `energax.data.Affine` is one."""

    @property
    def mean(self) -> Any:
        """The centre, shape [dim]."""

    @property
    def factor(self) -> Any:
        """L: the diagonal, shape [dim], or lower triangular, shape [dim, dim]."""


def keep(key: Key, batch: Batch) -> Batch:
    """The batch as it is."""
    return batch


class Dequantise(eqx.Module):
    """z = L^-1 (x + sigma noise - mean): new noise in every step, then the coordinates that chains walk in.

    Pixels take few values, so that without noise the best density is infinite on them. `x` is flattened to
    [batch, dim]; other entries of the batch are left as they are.

    Args:
        sigma: Standard deviation of the Gaussian noise, in the units of x, >= 0.
        coordinates: Anything with `mean` [dim] and `factor` ([dim] diagonal or [dim, dim] lower triangular), as
            `energax.data.Affine`; None leaves the units of x. The factor is inverted once, here, in float64.

    Raises:
        ValueError: `sigma` is negative; the factor is singular or does not fit the mean; a batch has another dimension.

    Example:
        >>> whiten = Dequantise(0.0)
        >>> whiten(jax.random.key(0), {"x": jnp.ones((3, 2, 2))})["x"].shape
        (3, 4)
    """

    sigma: float
    mean: Float[Array, " dim"] | None
    inverse: Float[Array, " dim"] | Float[Array, "dim dim"] | None

    def __init__(self, sigma: float, coordinates: Coordinates | None = None):
        checks.non_negative("Dequantise", "sigma", sigma)
        self.sigma = float(sigma)
        self.mean, self.inverse = None, None
        if coordinates is not None:
            mean, factor = np.asarray(coordinates.mean), np.asarray(coordinates.factor, np.float64)
            if factor.shape not in (mean.shape, mean.shape * 2) or mean.ndim != 1:
                raise ValueError(
                    f"Dequantise.coordinates must have mean [dim] and factor [dim] or [dim, dim]; "
                    f"got {mean.shape} and {factor.shape}."
                )
            diagonal = factor if factor.ndim == 1 else np.diag(factor)
            if not np.all(np.isfinite(factor)) or np.any(diagonal == 0):
                raise ValueError("Dequantise.coordinates must have a finite factor without zeros on its diagonal.")
            self.mean = jnp.asarray(mean, jnp.float32)
            self.inverse = jnp.asarray(1.0 / factor if factor.ndim == 1 else np.linalg.inv(factor), jnp.float32)

    def __call__(self, key: Key, batch: Batch) -> Batch:
        """The batch with `x` of shape [batch, dim] in the new coordinates."""
        x = batch["x"].reshape(batch["x"].shape[0], -1)
        if self.mean is not None and x.shape[1] != self.mean.shape[0]:
            raise ValueError(
                f"Dequantise: batch['x'] must have {self.mean.shape[0]} numbers a sample; got {x.shape[1]}."
            )
        if self.sigma > 0:
            x = x + self.sigma * jax.random.normal(key, x.shape, x.dtype)
        if self.mean is not None and self.inverse is not None:
            centred = x - self.mean.astype(x.dtype)[None]
            inverse = self.inverse.astype(x.dtype)
            x = centred * inverse[None] if inverse.ndim == 1 else centred @ inverse.T
        return {**batch, "x": x}
