"""A network read as an energy, on top of a base whose log Z is known.

Source: the form E = E_0 + f with an exact base is that of Nijkamp et al. (2019), arXiv:1904.09770, eq. (5), with a
Gaussian E_0; differs: the network's last layer starts at zero, so that step 0 *is* the base.
Cost: one pass of the network per value. Without a base the density need not be normalisable: a smooth network grows
at most linearly or stays bounded, and then exp(-E) has no finite integral.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Scalar

from energax.core import AbstractEnergy, Cond, X, checks, freeze


class NetworkEnergy(AbstractEnergy):
    """E(x) = base(x) + net(decode(x)).

    `base` and `decode` are read without gradient: training moves `net` alone. A rule that moves weights without a
    gradient (weight decay) must be shown `energy.net` only: `Phase(..., trains=lambda energy: energy.net)`.

    Args:
        net: Maps one decoded sample to a scalar, with a last layer that starts at zero (`networks.MLP`,
            `networks.ConvNet`, `networks.ResNet`).
        base: The energy at step 0, and a tail that keeps exp(-E) normalisable: a Gaussian or a fitted mixture. None
            leaves the network alone.
        decode: Maps the coordinates that chains walk in to what the network sees (`networks.Decode`); None is the
            identity.

    Raises:
        ValueError: The network's value of one sample is not a scalar.

    Example:
        >>> import jax
        >>> from energax.energies import standard_normal
        >>> from energax.networks import MLP
        >>> base = standard_normal(2)
        >>> energy = NetworkEnergy(MLP(2, 8, 1, key=jax.random.key(0)), base)
        >>> x = jnp.array([1.0, -2.0])
        >>> float(energy(x)) == float(base(x))
        True
    """

    net: Callable[[Array], Scalar]
    base: AbstractEnergy | None = None
    decode: Callable[[Array], Array] | None = None

    def __check_init__(self):
        for name in ("net", "decode"):
            value = getattr(self, name)
            if not callable(value) and not (name == "decode" and value is None):
                raise ValueError(f"NetworkEnergy.{name} must be callable; got {type(value).__name__}.")
        if self.base is not None and not isinstance(self.base, AbstractEnergy):
            raise ValueError(f"NetworkEnergy.base must be an energy or None; got {type(self.base).__name__}.")

    def __call__(self, x: X, cond: Cond = None) -> Scalar:
        """E(x) in nats, up to log Z."""
        seen = x if self.decode is None else freeze(self.decode)(x)
        value = self.net(seen)
        checks.scalar_energy("NetworkEnergy", jnp.shape(value))
        return value if self.base is None else freeze(self.base)(x, cond) + value
