"""Smooth activations by name: an energy is differentiated twice, so nothing here has a kink."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from energax.errors import ConfigError, did_you_mean


@jax.custom_jvp
def silu(x: Array) -> Array:
    """x * sigmoid(x), written with one tanh that its derivative uses again.

    Source: Elfwing, Uchibe and Doya (2018), Sigmoid-weighted linear units, doi:10.1016/j.neunet.2017.12.012.

    Args:
        x: Any shape, a floating dtype.
    """
    half = 0.5 * x
    return half + half * jnp.tanh(half)


@silu.defjvp
def _silu_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    half = 0.5 * x
    tanh = jnp.tanh(half)
    # d/dx [h + h tanh h] with h = x/2: (1 + tanh h)/2 + (h/2) sech^2 h; plain arithmetic, so it is differentiable again
    slope = 0.5 * (1.0 + tanh + half * (1.0 - tanh * tanh))
    return half + half * tanh, slope * dx


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "silu": silu,
    "gelu": jax.nn.gelu,
    "softplus": jax.nn.softplus,
    "tanh": jnp.tanh,
}
"""Every name that a network takes; the dictionary is closed."""


def activation(owner: str, name: str) -> Callable[[Array], Array]:
    """Looks a smooth activation up.

    Args:
        owner: Who asks, for the message.
        name: "silu", "gelu" (its tanh form), "softplus" or "tanh".

    Raises:
        ConfigError: The name is not one of them; the message names the nearest that is.

    Example:
        >>> float(activation("MLP", "tanh")(0.0))
        0.0
    """
    if isinstance(name, str) and name in ACTIVATIONS:
        return ACTIVATIONS[name]
    near = did_you_mean(name, ACTIVATIONS)
    raise ConfigError(f"{owner}.activation must be one of {', '.join(ACTIVATIONS)}; got {name!r}.{near}")
