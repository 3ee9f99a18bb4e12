"""Bipartite energies whose hidden units are bits: all that follows from the energy's being linear in them.

Source: Welling, Rosen-Zvi and Hinton (2004), Exponential family harmoniums with an application to information
retrieval, NIPS 17. With E(v, h) = A(v) - h . a(v) the hidden units are independent given v, with logits
a(v), and E(v) = -log sum_h exp(-E(v, h)) = A(v) - sum_j log(1 + exp(a_j(v))).
What differs: one file holds it for Bernoulli, Gaussian and one-hot visible units, which differ in A, a and p(v | h).
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractBipartiteEnergy, Cond, Key
from energax.numerics import uniforms


class AbstractHiddenBits(AbstractBipartiteEnergy):
    """E(v, h) = A(v) - h . a(v), h in {0, 1}^hidden; E(v) is the free energy of the visible units.

    `beta * energy` tempers the free energy and is bipartite no more; `energy.at_beta(beta)` tempers the joint energy.
    A condition is a field on the visible units, E(v, h | c) = E(v, h) - c . v, where the machine takes one (`given`).
    """

    hidden_bias: eqx.AbstractVar[Float[Array, " hidden"]]

    @abc.abstractmethod
    def visible_energy(self, v: Array) -> Scalar:
        """A(v) = E(v, 0) in nats."""

    @abc.abstractmethod
    def hidden_given(self, v: Array) -> Float[Array, " hidden"]:
        """a(v): the logits of p(h_j = 1 | v)."""

    @abc.abstractmethod
    def visible_mean(self, h: Float[Array, " hidden"]) -> Array:
        """E[v | h], in the shape of v."""

    @abc.abstractmethod
    def hidden_free_energy(self, h: Float[Array, " hidden"]) -> Scalar:
        """-log of exp(-E(v, h)) summed (integrated) over v, in nats."""

    @abc.abstractmethod
    def given(self, cond: Cond) -> "AbstractHiddenBits":
        """The machine in a field on its visible units."""

    @abc.abstractmethod
    def at_beta(self, beta: float | Scalar) -> "AbstractHiddenBits":
        """The machine of the joint energy beta E(v, h)."""

    def num_hidden(self) -> int:
        """How many hidden units."""
        return self.hidden_bias.shape[0]

    def __call__(self, x: Array, cond: Cond = None) -> Scalar:
        """The free energy of the visible units, in nats."""
        return (self if cond is None else self.given(cond)).free_energy(x)

    def free_energy(self, v: Array) -> Scalar:
        """-log sum_h exp(-E(v, h)) in nats."""
        return self.visible_energy(v) - jnp.sum(jax.nn.softplus(self.hidden_given(v)))

    def joint(self, v: Array, h: Float[Array, " hidden"]) -> Scalar:
        """E(v, h) in nats."""
        return self.visible_energy(v) - jnp.sum(h * self.hidden_given(v))

    def sample_hidden(self, key: Key, v: Array) -> Float[Array, " hidden"]:
        """One exact draw of all hidden units given the visible ones."""
        return bits(key, self.hidden_given(v))


def bits(key: Key, logits: Float[Array, " units"]) -> Float[Array, " units"]:
    """Independent bits that are 1 with probability sigmoid(logits), as floats.

    Example:
        >>> bits(jax.random.key(0), jnp.array([-100.0, 100.0])).tolist()
        [0.0, 1.0]
    """
    level = uniforms(key, logits.shape).astype(logits.dtype)
    return (level < jax.nn.sigmoid(logits)).astype(logits.dtype)
