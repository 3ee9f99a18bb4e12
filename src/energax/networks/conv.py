"""Convolutional network of one image, without normalisation or pooling: strides make the image smaller.

Cost: that of its convolutions (`networks.convolution`); 14 million operations per 28x28 image by default.
Where it fails: without a base it has no tail; a batch of one image is slow on a CPU: nothing to share the weights over.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from energax.core import Key, checks

from .activations import activation as named
from .convolution import add_bias, conv
from .mlp import Dense


class Conv(eqx.Module):
    """3x3 convolution and bias of one image, channels last.

    Args:
        c_in: Channels of the input, >= 1.
        c_out: Channels of the output, >= 1.
        stride: Step between output pixels, >= 1.
        gain: Weights are N(0, gain / (9 c_in)); the bias starts at zero.
        key: Draws them.
    """

    weight: Float[Array, "k k c_in c_out"]
    bias: Float[Array, " c_out"]
    stride: int = eqx.field(static=True)

    def __init__(self, c_in: int, c_out: int, stride: int = 1, gain: float = 2.0, *, key: Key):
        self.weight = math.sqrt(gain / (9 * c_in)) * jax.random.normal(key, (3, 3, c_in, c_out))
        self.bias = jnp.zeros((c_out,))
        self.stride = stride

    def __call__(self, x: Float[Array, "height width c_in"]) -> Float[Array, "rows cols c_out"]:
        return add_bias(conv(x.astype(self.weight.dtype), self.weight, self.stride), self.bias)


def image_sizes(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, int]:
    """(height, width) after convolutions of these strides."""
    height, width = shape[:2]
    for stride in strides:
        height, width = -(-height // stride), -(-width // stride)
    return height, width


def check_image_net(owner: str, shape: tuple[int, ...], channels: tuple[int, ...]) -> None:
    """Raises ValueError unless `shape` is (height, width, channels) and `channels` names at least one stage."""
    if len(shape) != 3:
        raise ValueError(f"{owner}.shape must be (height, width, channels); got {shape}.")
    for size in shape:
        checks.count(owner, "shape", size)
    if len(channels) == 0:
        raise ValueError(f"{owner}.channels must name at least one stage; got none.")
    for size in channels:
        checks.count(owner, "channels", size)


def as_image(owner: str, x: Array, shape: tuple[int, int, int]) -> Array:
    """The image in x, which may be flat.

    Raises:
        ValueError: x is neither of `shape` nor flat of its size.
    """
    if x.shape != shape and x.shape != (math.prod(shape),):
        raise ValueError(f"{owner}: x must be ONE image of shape {shape} or flat; got shape {x.shape}.")
    return x.reshape(shape)


class ConvNet(eqx.Module):
    """3x3 convolutions, a smooth activation after each, then one linear map of all that is left.

    Args:
        shape: (height, width, channels) of the input image; a flat x of that size is reshaped.
        channels: Output channels of each convolution.
        strides: Of each convolution; None is 1, then 2, 2, ...
        out_size: None for a scalar (what an energy needs), otherwise the length of the output vector.
        activation: "silu", "gelu", "softplus" or "tanh".
        zero_last: The linear head starts at exactly zero, so that the network is the zero function at step 0.
        key: Draws the initial weights.

    Raises:
        ValueError: A size is not a positive integer, `strides` and `channels` differ in length, or x does not fit.
        ConfigError: The activation's name is unknown; the nearest is suggested.

    Example:
        >>> net = ConvNet((8, 8, 1), (8, 16), key=jax.random.key(0))
        >>> float(net(jnp.ones(64)))
        0.0
    """

    layers: tuple[Conv, ...]
    head: Dense
    shape: tuple[int, int, int] = eqx.field(static=True)
    activation: str = eqx.field(static=True)
    out_size: int | None = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, ...],
        channels: tuple[int, ...] = (32, 64, 64, 128),
        *,
        strides: tuple[int, ...] | None = None,
        out_size: int | None = None,
        activation: str = "silu",
        zero_last: bool = True,
        key: Key,
    ):
        check_image_net("ConvNet", shape, channels)
        strides = (1,) + (2,) * (len(channels) - 1) if strides is None else tuple(strides)
        if len(strides) != len(channels):
            raise ValueError(f"ConvNet.strides must have {len(channels)} entries, as channels; got {len(strides)}.")
        for stride in strides:
            checks.count("ConvNet", "strides", stride)
        if out_size is not None:
            checks.count("ConvNet", "out_size", out_size)
        checks.typed_key("ConvNet", key)
        named("ConvNet", activation)
        *keys, last = jax.random.split(key, len(channels) + 1)
        sizes = (shape[2], *channels)
        self.layers = tuple(
            Conv(a, b, s, key=k) for a, b, s, k in zip(sizes[:-1], sizes[1:], strides, keys, strict=True)
        )
        flat = math.prod(image_sizes(shape, strides)) * channels[-1]
        self.head = Dense(flat, 1 if out_size is None else out_size, 0.0 if zero_last else 1.0, key=last)
        self.shape = (shape[0], shape[1], shape[2])
        self.activation, self.out_size = activation, out_size

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """f(x): a scalar, or a vector of `out_size`."""
        act = named("ConvNet", self.activation)
        hidden = as_image("ConvNet", x, self.shape)
        for layer in self.layers:
            hidden = act(layer(hidden))
        out = self.head(hidden.reshape(-1))
        return out[0] if self.out_size is None else out
