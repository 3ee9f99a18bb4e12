"""The path of joint parameters from a base-rate machine to a restricted Boltzmann machine, for AIS by block Gibbs.

Source: Salakhutdinov and Murray (2008), On the quantitative analysis of deep belief networks,
doi:10.1145/1390156.1390266 (AIS for machines), with the base's weights and hidden biases at zero.
What differs: the base's hidden units then carry no information and are summed out, so that every member of the path is
one machine with parameters (s W, (1 - s) b_0 + s b, s c) and a constant, chosen so that the member at 0 is the
normalised base density over v. It differs from `GeometricPath`, whose members are no machines.
Exact: log Z of the base is 0, samples of it. Cost: as the machine's; members at several s share their matrix product
with v, so that a step of AIS by block Gibbs costs two products in all.
Where it fails: as every annealing does, where the machine's modes part at some s < 1 that the chains pass too fast.
"""

import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractDensity, AbstractEnergy, AbstractPath, Cond, Key, checks

from .hidden_bits import bits
from .rbm import BernoulliRBM


class IndependentBits(AbstractEnergy, AbstractDensity):
    """E(v) = -logits . v, v in {0, 1}^visible: bits with no couplings.

    Args:
        logits: log(p / (1 - p)) of every bit, floating, [visible].

    Raises:
        ValueError: `logits` is no vector of finite floating numbers, or v does not fit.

    Example:
        >>> base = IndependentBits(jnp.array([0.0, 2.0]))
        >>> round(float(base.log_z()), 4)  # log 2 + log(1 + exp(2))
        2.8201
    """

    conditional: ClassVar[bool] = False
    logits: Float[Array, " visible"]

    def __check_init__(self):
        if self.logits.ndim != 1 or not jnp.issubdtype(self.logits.dtype, jnp.floating):
            raise ValueError(
                f"IndependentBits.logits must be floating, of shape (visible,); got {self.logits.dtype} of shape "
                f"{self.logits.shape}."
            )
        checks.finite("IndependentBits", "logits", self.logits)

    @classmethod
    def of_data(cls, v: Float[Array, "rows visible"]) -> "IndependentBits":
        """The base rates of data, with one pseudo-count of each value so that none is 0 or 1.

        Args:
            v: Bits as floats, rows on axis 0.

        Example:
            >>> round(float(IndependentBits.of_data(jnp.array([[1.0], [1.0]])).logits[0]), 4)  # log 3
            1.0986
        """
        checks.samples("IndependentBits.of_data", "v", v, ndim=2)
        ones, rows = jnp.sum(v, axis=0), v.shape[0]
        return cls(jnp.log((ones + 1.0) / (rows - ones + 1.0)))

    def __call__(self, x: Float[Array, " visible"], cond: Cond = None) -> Scalar:
        """E(v) in nats."""
        if x.shape != self.logits.shape:
            raise ValueError(f"IndependentBits: v must be ONE sample of shape {self.logits.shape}; got {x.shape}.")
        return -jnp.sum(self.logits * x)

    def log_z(self) -> Scalar:
        """log of the sum over all v, exact, in nats."""
        return jnp.sum(jax.nn.softplus(self.logits))

    def log_prob(self, x: Float[Array, " visible"]) -> Scalar:
        """log p(v) in nats."""
        return -self(x) - self.log_z()

    def sample(self, key: Key) -> Float[Array, " visible"]:
        """One exact sample."""
        return bits(key, self.logits)


class RBMPath(AbstractPath):
    """E_s(v, h): the machine (s W, (1 - s) b_0 + s b, s c), its free energy at s = 0 being -log p_0(v).

    Args:
        base: The base rates p_0, with as many bits as the machine has visible units.
        target: The machine at s = 1.

    Raises:
        ValueError: The numbers of visible units differ.

    Example:
        >>> rbm = BernoulliRBM(jnp.ones((2, 3)), jnp.zeros(2), jnp.zeros(3))
        >>> path = RBMPath(IndependentBits(jnp.zeros(2)), rbm)
        >>> v = jnp.array([1.0, 0.0])
        >>> round(float(path.at(0.0)(v)), 4), bool(path.at(1.0)(v) == rbm(v))  # 2 log 2
        (1.3863, True)
    """

    base: IndependentBits
    target: BernoulliRBM

    def __check_init__(self):
        if self.base.logits.shape != self.target.visible_bias.shape:
            raise ValueError(
                f"RBMPath.base must have as many bits as the machine, {self.target.visible_bias.shape[0]}; got "
                f"{self.base.logits.shape[0]}."
            )

    def at(self, s: float | Scalar) -> BernoulliRBM:
        rbm = self.target.at_beta(s)
        # at s = 0 the machine's own sum over its idle hidden units is 2^hidden
        constant = self.base.log_z() + rbm.num_hidden() * math.log(2.0)
        mixed = (1.0 - s) * self.base.logits + rbm.visible_bias, (1.0 - s) * constant + rbm.offset
        return eqx.tree_at(lambda rbm: (rbm.visible_bias, rbm.offset), rbm, mixed)
