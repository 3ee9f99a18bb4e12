"""A network whose body computes in bfloat16, while weights, head and value stay float32.

Source: Micikevicius et al. (2018), Mixed precision training, arXiv:1710.03740, section 3.1 (a float32 copy of the
weights takes the updates); the format: Kalamkar et al. (2019), A study of bfloat16 for deep learning training,
arXiv:1905.12322.
Differs: no loss scaling, since bfloat16 has the exponents of float32; the head multiplies in float32, or an energy of
tens of nats would come in steps of a tenth.
Cost: products of the body on a GPU's or TPU's matrix units at half the memory; on CPUs, which only emulate it, slower.
Where it fails: what comes out is one function of x, and samplers are exact for it, but it is rough: the body's
rounding is some 0.4 % of the network's value, however near two states are. That is nothing to a Metropolis test as long
as it is far below a nat, which a network of hundreds of nats does not keep: sample it in float32. Structure that needs
more than three digits of x (25 narrow Gaussians) is lost.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .conv import ConvNet
from .mlp import MLP
from .resnet import ResNet


class Bfloat16(eqx.Module):
    """f(x) of a network, all but its head in bfloat16.

    The weights that training moves and checkpoints hold are those of `net`, float32; each call rounds them.

    Args:
        net: An `MLP`, `ConvNet` or `ResNet`.

    Raises:
        ValueError: `net` is none of them.

    Example:
        >>> net = MLP(2, 16, 2, zero_last=False, key=jax.random.key(0))
        >>> coarse, fine = Bfloat16(net)(jnp.ones(2)), net(jnp.ones(2))
        >>> str(coarse.dtype), bool(abs(coarse - fine) < 0.02 * abs(fine))
        ('float32', True)
    """

    net: MLP | ConvNet | ResNet

    def __check_init__(self):
        if not isinstance(self.net, (MLP, ConvNet, ResNet)):
            raise ValueError(f"Bfloat16.net must be an MLP, a ConvNet or a ResNet; got {type(self.net).__name__}.")

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """f(x): a scalar, or a vector of `out_size`."""
        rounded = jax.tree.map(_rounded, self.net)
        return eqx.tree_at(lambda net: net.head, rounded, self.net.head)(x)


def _rounded(leaf: Array) -> Array:
    return leaf.astype(jnp.bfloat16) if eqx.is_inexact_array(leaf) else leaf
