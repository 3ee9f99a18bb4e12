"""The fixed affine map from the coordinates that chains walk in to those that a network sees."""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax.core import checks


class Decode(eqx.Module):
    """x = mean + L z, then reshaped: lets chains live in whitened coordinates while a network sees pixels.

    Cost: d multiplications for a diagonal L, d^2 for a full one. An energy reads it without gradient
    (`energies.NetworkEnergy`), so that training leaves it as it is.

    Args:
        mean: Shape [d], in the units of x.
        factor: L: the diagonal, shape [d] with every entry > 0, or a square factor [d, d] (a lower Cholesky factor of
            the data's covariance, for instance).
        shape: What the d numbers are reshaped to, as (height, width, channels); None leaves them flat.

    Raises:
        ValueError: Shapes do not fit each other, or an entry is not finite.

    Example:
        >>> decode = Decode(jnp.zeros(4), 2.0 * jnp.ones(4), shape=(2, 2, 1))
        >>> decode(jnp.ones(4)).shape
        (2, 2, 1)
    """

    mean: Float[Array, " dim"]
    factor: Float[Array, " dim"] | Float[Array, "dim dim"]
    shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, mean: Array, factor: Array, shape: tuple[int, ...] | None = None):
        mean, factor = jnp.asarray(mean), jnp.asarray(factor)
        checks.finite("Decode", "mean", mean)
        if mean.ndim != 1:
            raise ValueError(f"Decode.mean must have shape (d,); got {mean.shape}.")
        dim = mean.shape[0]
        if factor.shape == (dim,):
            checks.positive("Decode", "factor", factor)
        elif factor.shape == (dim, dim):
            checks.finite("Decode", "factor", factor)
        else:
            raise ValueError(f"Decode.factor must have shape ({dim},) or ({dim}, {dim}); got {factor.shape}.")
        if shape is not None and math.prod(shape) != dim:
            raise ValueError(f"Decode.shape must hold {dim} numbers; got {tuple(shape)}.")
        self.mean, self.factor = mean, factor.astype(mean.dtype)
        self.shape = None if shape is None else tuple(int(n) for n in shape)

    def __call__(self, z: Float[Array, " dim"]) -> Float[Array, "..."]:
        """The point x of shape [d], or of `shape`, whose whitened coordinates are z."""
        # z @ L.T and not L @ z: under vmap both are one matrix product, this one without a transposed result
        x = self.mean + (self.factor * z if self.factor.ndim == 1 else z @ self.factor.T)
        return x if self.shape is None else x.reshape(self.shape)
