"""The length of an energy's gradient at x: how far from a flat, and so typical, place of the model it is.

Source: Grathwohl, Wang, Jacobsen, Duvenaud, Norouzi and Swersky (2019), Your classifier is secretly an energy based
    model and you should treat it like one, arXiv:1912.03263, sec. 5.3 (approximate mass).
What differs: their score is its negative, high for what is known.
Cost: one gradient a row. Fails at every flat place of low density, and depends on the units of x: it has no meaning
where coordinates are of different kinds and not whitened.
"""

import jax
import jax.numpy as jnp
import numpy as np

from energax.core import AbstractEnergy, checks

from ..batches import in_batches


def gradient_norm(energy: AbstractEnergy, xs: np.ndarray | jax.Array, *, batch_size: int = 1024) -> np.ndarray:
    """|grad E(x)| of every row of `xs`, in nats per unit of x, [n]; high is unusual.

    Args:
        energy: Maps one sample to a scalar.
        xs: Samples on axis 0, finite, of real numbers; integers are taken as float32.
        batch_size: Samples in memory at once, >= 1.

    Raises:
        ValueError: `xs` is no stack of finite samples, or the energy is not a scalar.

    Example:
        >>> from energax.energies import standard_normal
        >>> gradient_norm(standard_normal(2), np.array([[3.0, 4.0]], np.float32)).tolist()
        [5.0]
    """
    checks.samples("gradient_norm", "xs", xs)
    given = xs.astype(np.float32) if np.issubdtype(xs.dtype, np.integer) else xs  # no slope is along integers
    return in_batches("gradient_norm", _norm, energy, given, batch_size)


def _norm(energy: AbstractEnergy, x: jax.Array) -> jax.Array:
    return jnp.linalg.norm(jnp.ravel(jax.grad(lambda at: energy(at))(x)))
