"""The restricted Boltzmann machine with bits in both layers.

Source: Smolensky (1986), Information processing in dynamical systems: foundations of harmony theory, in Parallel
distributed processing, volume 1, chapter 6; Hinton (2002), Training products of experts by minimizing contrastive
divergence, doi:10.1162/089976602760128018; Fischer and Igel (2014), Training restricted Boltzmann machines,
doi:10.1016/j.patcog.2013.05.025.
Exact: both conditionals, the free energy; log Z, moments and samples by enumeration of the smaller layer in
`rbm_exact.py`. Cost: visible times hidden operations per value and per half of a Gibbs sweep.
Where samplers fail on it: strong weights make isolated modes (one hidden unit a pattern), between which block Gibbs
crosses about never; temper the joint energy (`at_beta`).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from energax.core import Cond, Key, checks

from .hidden_bits import AbstractHiddenBits, bits


class BernoulliRBM(AbstractHiddenBits):
    """E(v, h) = offset - b . v - c . h - v . W h, v in {0, 1}^visible and h in {0, 1}^hidden.

    As an energy of v alone it is the free energy F(v) = offset - b . v - sum_j log(1 + exp(c_j + (v W)_j)), which is
    smooth at any real v. Samples are floats.

    Args:
        weights: W, floating, [visible, hidden], in nats.
        visible_bias: b, [visible], in nats.
        hidden_bias: c, [hidden], in nats.
        offset: A constant in nats that changes nothing but log Z.

    Raises:
        ValueError: Shapes do not fit, an entry is not finite, or v does not fit.

    Example:
        >>> rbm = BernoulliRBM(jnp.array([[2.0], [-2.0]]), jnp.array([0.5, 0.0]), jnp.zeros(1))
        >>> round(float(rbm(jnp.array([1.0, 0.0]))), 4)  # -0.5 - log(1 + exp(2))
        -2.6269
        >>> float(rbm.joint(jnp.array([1.0, 0.0]), jnp.ones(1)))
        -2.5
    """

    weights: Float[Array, "visible hidden"]
    visible_bias: Float[Array, " visible"]
    hidden_bias: Float[Array, " hidden"]
    offset: float | Scalar
    weight_scale: float | Scalar
    """What `at_beta` has made of the weights, which stay as they are so that machines share products: 1 at first."""

    def __init__(self, weights: Array, visible_bias: Array, hidden_bias: Array, offset: float | Scalar = 0.0):
        weights = jnp.asarray(weights)
        if weights.ndim != 2 or not jnp.issubdtype(weights.dtype, jnp.floating):
            raise ValueError(
                f"BernoulliRBM.weights must be floating, of shape (visible, hidden); got {weights.dtype} of shape "
                f"{weights.shape}."
            )
        biases = (jnp.asarray(visible_bias, weights.dtype), jnp.asarray(hidden_bias, weights.dtype))
        for name, bias, size in zip(("visible_bias", "hidden_bias"), biases, weights.shape, strict=True):
            if bias.shape != (size,):
                raise ValueError(f"BernoulliRBM.{name} must have shape ({size},); got {bias.shape}.")
            checks.finite("BernoulliRBM", name, bias)
        checks.finite("BernoulliRBM", "weights", weights)
        checks.finite("BernoulliRBM", "offset", offset, ndim=0)
        self.weights, (self.visible_bias, self.hidden_bias), self.offset = weights, biases, offset
        self.weight_scale = 1.0

    def visible_energy(self, v: Float[Array, " visible"]) -> Scalar:
        """E(v, 0) = offset - b . v in nats."""
        self._one_sample(v)
        return self.offset - jnp.sum(self.visible_bias * v)

    def hidden_given(self, v: Float[Array, " visible"]) -> Float[Array, " hidden"]:
        """Logits of p(h_j = 1 | v): c + v W."""
        self._one_sample(v)
        return self.hidden_bias + self.weight_scale * (v @ self.weights)

    def visible_given(self, h: Float[Array, " hidden"]) -> Float[Array, " visible"]:
        """Logits of p(v_i = 1 | h): b + W h."""
        return self.visible_bias + self.weight_scale * (h @ self.weights.T)

    def visible_mean(self, h: Float[Array, " hidden"]) -> Float[Array, " visible"]:
        """p(v_i = 1 | h)."""
        return jax.nn.sigmoid(self.visible_given(h))

    def sample_visible(self, key: Key, h: Float[Array, " hidden"]) -> Float[Array, " visible"]:
        """One exact draw of all visible units given the hidden ones."""
        return bits(key, self.visible_given(h))

    def hidden_free_energy(self, h: Float[Array, " hidden"]) -> Scalar:
        """-log sum_v exp(-E(v, h)) in nats."""
        return self.offset - jnp.sum(self.hidden_bias * h) - jnp.sum(jax.nn.softplus(self.visible_given(h)))

    def given(self, cond: Cond) -> "BernoulliRBM":
        """The machine of E(v, h) - cond . v.

        Args:
            cond: A field on the visible units, in the shape of v, in nats; None for none.
        """
        if cond is None:
            return self
        if jnp.shape(cond) != self.visible_bias.shape:
            raise ValueError(
                f"BernoulliRBM: cond must be a field on the visible units, of shape {self.visible_bias.shape}; got "
                f"shape {jnp.shape(cond)}."
            )
        return eqx.tree_at(lambda rbm: rbm.visible_bias, self, self.visible_bias + cond)

    def at_beta(self, beta: float | Scalar) -> "BernoulliRBM":
        """The machine of the joint energy beta E(v, h): every parameter times beta.

        Args:
            beta: Inverse temperature, >= 0; at 0 all bits are fair coins.
        """
        checks.non_negative("BernoulliRBM", "beta", beta, ndim=0)
        new = BernoulliRBM(self.weights, beta * self.visible_bias, beta * self.hidden_bias, beta * self.offset)
        return eqx.tree_at(lambda rbm: rbm.weight_scale, new, beta * self.weight_scale)

    def transposed(self) -> "BernoulliRBM":
        """The same machine with the names of its layers exchanged; log Z is the same."""
        new = BernoulliRBM(self.weights.T, self.hidden_bias, self.visible_bias, self.offset)
        return eqx.tree_at(lambda rbm: rbm.weight_scale, new, self.weight_scale)

    def _one_sample(self, v: Array) -> None:
        if v.shape != self.visible_bias.shape:
            raise ValueError(
                f"BernoulliRBM: v must be ONE sample of shape {self.visible_bias.shape}; got shape {v.shape}."
            )
