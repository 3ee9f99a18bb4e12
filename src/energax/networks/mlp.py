"""Dense network of one flat sample, with a scalar or a vector head.

Cost: 2 x (number of weights) floating operations per sample; under vmap one matrix product a layer.
Where it fails: structure much finer than the spacing of its inputs' unit scale; see `fourier`.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt32

from energax.core import Key, checks

from .activations import activation as named


class Dense(eqx.Module):
    """x @ weight + bias, with the weight stored [in, out].

    Args:
        in_size: Length of the input, >= 1.
        out_size: Length of the output, >= 1.
        gain: Weights are N(0, gain / in_size), biases uniform in +-1/sqrt(in_size); 0 makes both zero.
        key: Draws them.
    """

    weight: Float[Array, "fan_in fan_out"]
    bias: Float[Array, " fan_out"]

    def __init__(self, in_size: int, out_size: int, gain: float = 1.0, *, key: Key):
        weights, biases = jax.random.split(key)
        self.weight = math.sqrt(gain / in_size) * jax.random.normal(weights, (in_size, out_size))
        limit = 1.0 / math.sqrt(in_size) if gain > 0 else 0.0
        self.bias = limit * jax.random.uniform(biases, (out_size,), minval=-1.0, maxval=1.0)

    def __call__(self, x: Float[Array, "... fan_in"]) -> Float[Array, "... fan_out"]:
        return x.astype(self.weight.dtype) @ self.weight + self.bias


class FourierFeatures(eqx.Module):
    """[x, sqrt(2) cos(B x), sqrt(2) sin(B x)] with random frequencies B that are never trained.

    The frequencies are kept as the bits of their float32 values, in an integer array: no gradient, optimizer, weight
    decay or mixed-precision cast can reach them, while checkpoints hold them like every other array.

    Source: Rahimi and Recht (2007), Random features for large-scale kernel machines; Tancik et al. (2020),
    arXiv:2006.10739, section 4. Differs: x itself is kept beside its features.

    Args:
        in_size: Length of x.
        num: Frequencies, >= 1; the output has in_size + 2 num entries.
        scale: Standard deviation of the frequencies, in radians per unit of x, > 0.
        key: Draws them.
    """

    bits: UInt32[Array, "fan_in frequencies"]

    def __init__(self, in_size: int, num: int, scale: float = 1.0, *, key: Key):
        checks.count("FourierFeatures", "num", num)
        checks.positive("FourierFeatures", "scale", scale)
        frequencies = scale * jax.random.normal(key, (in_size, num), jnp.float32)
        self.bits = jax.lax.bitcast_convert_type(frequencies, jnp.uint32)

    @property
    def frequencies(self) -> Float[Array, "fan_in frequencies"]:
        """B, in radians per unit of x."""
        return jax.lax.bitcast_convert_type(self.bits, jnp.float32)

    def __call__(self, x: Float[Array, " fan_in"]) -> Float[Array, " features"]:
        phase = x @ self.frequencies.astype(x.dtype)
        return jnp.concatenate([x, math.sqrt(2.0) * jnp.cos(phase), math.sqrt(2.0) * jnp.sin(phase)])


class MLP(eqx.Module):
    """`depth` hidden layers of `width`, a smooth activation, and a linear head that starts at zero.

    Args:
        in_size: Length of the flat input x, >= 1.
        width: Units of a hidden layer, >= 1.
        depth: Hidden layers, >= 1.
        out_size: None for a scalar (what an energy needs), otherwise the length of the output vector.
        activation: "silu", "gelu", "softplus" or "tanh".
        fourier: Random Fourier features put before the first layer; 0 for none. For structure finer than about 0.1
            of the data's standard deviation.
        fourier_scale: Standard deviation of their frequencies, in radians per unit of x, > 0.
        zero_last: The head starts at exactly zero, so that the network is the zero function at step 0.
        key: Draws the initial weights.

    Raises:
        ValueError: A size is not a positive integer, or x has not the shape (in_size,).
        ConfigError: The activation's name is unknown; the nearest is suggested.

    Example:
        >>> net = MLP(2, width=16, depth=2, key=jax.random.key(0))
        >>> float(net(jnp.ones(2)))
        0.0
    """

    layers: tuple[Dense, ...]
    head: Dense
    features: FourierFeatures | None
    activation: str = eqx.field(static=True)
    in_size: int = eqx.field(static=True)
    out_size: int | None = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        width: int,
        depth: int,
        *,
        out_size: int | None = None,
        activation: str = "silu",
        fourier: int = 0,
        fourier_scale: float = 1.0,
        zero_last: bool = True,
        key: Key,
    ):
        for name, value in (("in_size", in_size), ("width", width), ("depth", depth)):
            checks.count("MLP", name, value)
        checks.count("MLP", "fourier", fourier, least=0)
        checks.positive("MLP", "fourier_scale", fourier_scale)
        if out_size is not None:
            checks.count("MLP", "out_size", out_size)
        checks.typed_key("MLP", key)
        named("MLP", activation)
        features, *keys = jax.random.split(key, depth + 2)
        self.features = FourierFeatures(in_size, fourier, fourier_scale, key=features) if fourier else None
        sizes = [in_size + 2 * fourier] + [width] * depth
        # gain 2 after an activation, which about halves the power of its input; 1 where the input is the data
        gains = [1.0] + [2.0] * (depth - 1)
        hidden = [Dense(a, b, g, key=k) for a, b, g, k in zip(sizes[:-1], sizes[1:], gains, keys[:-1], strict=True)]
        head = Dense(width, 1 if out_size is None else out_size, 0.0 if zero_last else 1.0, key=keys[-1])
        self.layers, self.head = tuple(hidden), head
        self.activation, self.in_size, self.out_size = activation, in_size, out_size

    def __call__(self, x: Float[Array, " dim"]) -> Float[Array, "..."]:
        """f(x): a scalar, or a vector of `out_size`."""
        if x.shape != (self.in_size,):
            raise ValueError(f"MLP: x must be ONE sample of shape ({self.in_size},); got shape {x.shape}.")
        act = named("MLP", self.activation)
        hidden = x if self.features is None else self.features(x)
        for layer in self.layers:
            hidden = act(layer(hidden))
        out = self.head(hidden)
        return out[0] if self.out_size is None else out
