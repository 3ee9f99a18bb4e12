"""A network that sees a level beside x: one energy for a whole family of densities, such as data mixed with noise.

Source: one network for all bridges of a telescoping ratio: Rhodes, Xu and Gutmann (2020), Telescoping density-ratio
    estimation, arXiv:2006.12204, sec. 3.3; with the level as an input, as the noise-conditional network of Song and
    Ermon (2019), arXiv:1907.05600, sec. 4. What differs: a base whose log Z is known holds every level's mass together.
Cost: one pass of the network per value. Fails between levels that it was not trained at.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractEnergy, Cond, checks, freeze


class LevelledEnergy(AbstractEnergy):
    """E(x, a) = base(x) + net([x, a]) of one flat x and a level a, a scalar; without one, a = 0: the data themselves.

    `base` is read without gradient, as in `NetworkEnergy`.

    Args:
        net: Maps [dim + 1] to a scalar (`networks.MLP(dim + 1, ...)`).
        base: The energy of every level at step 0, or None.

    Raises:
        ValueError: `net` is not callable, `base` no energy, or its value is not a scalar.

    Example:
        >>> import jax
        >>> from energax.energies import standard_normal
        >>> from energax.networks import MLP
        >>> energy = LevelledEnergy(MLP(3, 8, 1, key=jax.random.key(0)), standard_normal(2))
        >>> float(energy(jnp.ones(2), jnp.array(0.5))), float(energy.given(jnp.array(0.5))(jnp.ones(2)))
        (1.0, 1.0)
    """

    net: Callable[[Array], Scalar]
    base: AbstractEnergy | None = None

    def __check_init__(self):
        if not callable(self.net):
            raise ValueError(f"LevelledEnergy.net must be callable; got {type(self.net).__name__}.")
        if self.base is not None and not isinstance(self.base, AbstractEnergy):
            raise ValueError(f"LevelledEnergy.base must be an energy or None; got {type(self.base).__name__}.")

    def __call__(self, x: Float[Array, " dim"], cond: Cond = None) -> Scalar:
        """E(x, cond), or E(x, 0), in nats."""
        level = jnp.zeros((), x.dtype) if cond is None else jnp.asarray(cond, x.dtype)
        value = self.net(jnp.concatenate([x, level[None]]))
        checks.scalar_energy("LevelledEnergy", jnp.shape(value))
        return value if self.base is None else freeze(self.base)(x) + value
