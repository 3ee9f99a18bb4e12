"""Residual network of one image, smooth and without batch normalisation.

Source: He et al. (2016), Identity mappings in deep residual networks, arXiv:1603.05027, fig. 4(e) (activation before
each convolution). Differs: no batch normalisation, which would make the energy of one sample depend on the others of
its batch; each branch starts small instead, as in Zhang, Dauphin and Ma (2019), Fixup, arXiv:1901.09321.
Cost: that of its convolutions, (1 + 2 blocks) a stage.
"""

import math

import equinox as eqx
import jax
from jaxtyping import Array, Float

from energax.core import Key, checks

from .activations import activation as named
from .conv import Conv, as_image, check_image_net, image_sizes
from .mlp import Dense


class Stage(eqx.Module):
    """One convolution to the stage's size and channels, then residual blocks of two convolutions.

    Args:
        c_in: Channels that come in.
        c_out: Channels of the stage.
        stride: Of the entering convolution.
        blocks: Residual blocks, >= 0.
        branch_gain: Gain of each branch's last convolution.
        key: Draws the initial weights.
    """

    enter: Conv
    blocks: tuple[tuple[Conv, Conv], ...]

    def __init__(self, c_in: int, c_out: int, stride: int, blocks: int, branch_gain: float, *, key: Key):
        first, *keys = jax.random.split(key, 2 * blocks + 1)
        self.enter = Conv(c_in, c_out, stride, key=first)
        self.blocks = tuple(
            (Conv(c_out, c_out, key=a), Conv(c_out, c_out, gain=branch_gain, key=b))
            for a, b in zip(keys[::2], keys[1::2], strict=True)
        )


class ResNet(eqx.Module):
    """Stages of residual blocks x + conv(act(conv(act(x)))), then one linear map of all that is left.

    Args:
        shape: (height, width, channels) of the input image; a flat x of that size is reshaped.
        channels: Channels of each stage; the first keeps the image's size, each later one halves it.
        blocks: Residual blocks in each stage, >= 1.
        out_size: None for a scalar (what an energy needs), otherwise the length of the output vector.
        activation: "silu", "gelu", "softplus" or "tanh".
        zero_last: The linear head starts at exactly zero, so that the network is the zero function at step 0.
        key: Draws the initial weights.

    Raises:
        ValueError: A size is not a positive integer, or x does not fit.
        ConfigError: The activation's name is unknown; the nearest is suggested.

    Example:
        >>> import jax.numpy as jnp
        >>> net = ResNet((8, 8, 1), (8, 16), key=jax.random.key(0))
        >>> float(net(jnp.ones(64)))
        0.0
    """

    stages: tuple[Stage, ...]
    head: Dense
    shape: tuple[int, int, int] = eqx.field(static=True)
    activation: str = eqx.field(static=True)
    out_size: int | None = eqx.field(static=True)

    def __init__(
        self,
        shape: tuple[int, ...],
        channels: tuple[int, ...] = (32, 64, 128),
        *,
        blocks: int = 1,
        out_size: int | None = None,
        activation: str = "silu",
        zero_last: bool = True,
        key: Key,
    ):
        check_image_net("ResNet", shape, channels)
        checks.count("ResNet", "blocks", blocks)
        if out_size is not None:
            checks.count("ResNet", "out_size", out_size)
        checks.typed_key("ResNet", key)
        named("ResNet", activation)
        *keys, last = jax.random.split(key, len(channels) + 1)
        sizes, strides = (shape[2], *channels), (1,) + (2,) * (len(channels) - 1)
        # all branches together add about as much power as the trunk carries
        branch_gain = 2.0 / (blocks * len(channels))
        self.stages = tuple(
            Stage(a, b, s, blocks, branch_gain, key=k)
            for a, b, s, k in zip(sizes[:-1], sizes[1:], strides, keys, strict=True)
        )
        flat = math.prod(image_sizes(shape, strides)) * channels[-1]
        self.head = Dense(flat, 1 if out_size is None else out_size, 0.0 if zero_last else 1.0, key=last)
        self.shape = (shape[0], shape[1], shape[2])
        self.activation, self.out_size = activation, out_size

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """f(x): a scalar, or a vector of `out_size`."""
        act = named("ResNet", self.activation)
        hidden = as_image("ResNet", x, self.shape)
        for number, stage in enumerate(self.stages):
            hidden = stage.enter(act(hidden) if number else hidden)
            for first, second in stage.blocks:
                hidden = hidden + second(act(first(act(hidden))))
        out = self.head(act(hidden).reshape(-1))
        return out[0] if self.out_size is None else out
