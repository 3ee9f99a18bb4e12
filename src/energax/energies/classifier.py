"""A classifier read as an energy: of x by the sum over classes, of x given a class by its logit.

Source: Grathwohl, Wang, Jacobsen, Duvenaud, Norouzi and Swersky (2019), Your classifier is secretly an energy based
    model and you should treat it like one, arXiv:1912.03263, eqs. (5) to (7). What differs: a base energy can be added,
    which keeps exp(-E) normalisable and leaves p(y | x) as it is.
Cost: one pass of the network per value. Fails to be normalisable without a base where the logits grow with x.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractClassifierEnergy, AbstractEnergy, Cond, X, freeze


class ClassifierEnergy(AbstractClassifierEnergy):
    """E(x) = base(x) - logsumexp_y f_y(x); given a class y, E(x, y) = base(x) - f_y(x).

    `base` and `decode` are read without gradient, as in `NetworkEnergy`.

    Args:
        net: Maps one decoded sample to the logits [classes].
        base: An energy of x that holds the mass together, or None.
        decode: Maps the coordinates that chains walk in to what the network sees (`networks.Decode`); None is the
            identity.

    Raises:
        ValueError: `net` is not callable, `base` no energy, or the logits are not one row.

    Example:
        >>> energy = ClassifierEnergy(lambda x: x)
        >>> x = jnp.array([1.0, 2.0, 0.0])
        >>> float(energy(x, jnp.array(1)))
        -2.0
        >>> bool(jnp.allclose(jax.nn.softmax(energy.logits(x))[1], jnp.exp(energy(x) - energy(x, jnp.array(1)))))
        True
    """

    net: Callable[[X], Float[Array, " classes"]]
    base: AbstractEnergy | None = None
    decode: Callable[[Array], Array] | None = None

    def __check_init__(self):
        for name in ("net", "decode"):
            value = getattr(self, name)
            if not callable(value) and not (name == "decode" and value is None):
                raise ValueError(f"ClassifierEnergy.{name} must be callable; got {type(value).__name__}.")
        if self.base is not None and not isinstance(self.base, AbstractEnergy):
            raise ValueError(f"ClassifierEnergy.base must be an energy or None; got {type(self.base).__name__}.")

    def logits(self, x: X) -> Float[Array, " classes"]:
        """f_y(x) for every class y."""
        values = self.net(x if self.decode is None else freeze(self.decode)(x))
        if jnp.ndim(values) != 1:
            raise ValueError(f"ClassifierEnergy.net must give one row of logits; got shape {jnp.shape(values)}.")
        return values

    def __call__(self, x: X, cond: Cond = None) -> Scalar:
        """E(x), or E(x, y) for the class number `cond`, in nats, up to log Z."""
        logits = self.logits(x)
        value = -jax.nn.logsumexp(logits) if cond is None else -logits[cond]
        return value if self.base is None else freeze(self.base)(x) + value
