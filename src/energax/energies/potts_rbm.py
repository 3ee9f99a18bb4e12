"""The restricted Boltzmann machine with one-hot visible units: sites of several states and bits behind them.

Source: Salakhutdinov, Mnih and Hinton (2007), Restricted Boltzmann machines for collaborative filtering,
doi:10.1145/1273496.1273596; for sequences, Tubiana, Cocco and Monasson (2019), Learning protein
constitutive motifs from sequence data, doi:10.7554/eLife.39397.
Exact: both conditionals, the free energy; log Z, moments and samples by enumeration of the hidden layer in
`rbm_exact.py`. Cost: sites times states times hidden operations per value and per half of a Gibbs sweep.
Where it fails: adding a number to all states of a site changes nothing, so parameters are not unique; as the Bernoulli
machine, strong weights make modes that block Gibbs does not leave.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from energax.core import Cond, Key, checks
from energax.numerics import categorical

from .hidden_bits import AbstractHiddenBits


class PottsRBM(AbstractHiddenBits):
    """E(v, h) = -sum_ia b_ia v_ia - c . h - sum_iaj v_ia W_iaj h_j, every row v_i one-hot and h in {0, 1}^hidden.

    Args:
        weights: W, floating, [sites, states, hidden], in nats.
        visible_bias: b, [sites, states], in nats.
        hidden_bias: c, [hidden], in nats.

    Raises:
        ValueError: Shapes do not fit, an entry is not finite, or v does not fit.

    Example:
        >>> rbm = PottsRBM(jnp.zeros((2, 3, 1)), jnp.eye(2, 3), jnp.zeros(1))
        >>> v = jax.nn.one_hot(jnp.array([0, 2]), 3)
        >>> round(float(rbm(v)), 4)  # -1 - log 2
        -1.6931
    """

    weights: Float[Array, "sites states hidden"]
    visible_bias: Float[Array, "sites states"]
    hidden_bias: Float[Array, " hidden"]

    def __init__(self, weights: Array, visible_bias: Array, hidden_bias: Array):
        weights = jnp.asarray(weights)
        if weights.ndim != 3 or not jnp.issubdtype(weights.dtype, jnp.floating):
            raise ValueError(
                f"PottsRBM.weights must be floating, of shape (sites, states, hidden); got {weights.dtype} of shape "
                f"{weights.shape}."
            )
        biases = (jnp.asarray(visible_bias, weights.dtype), jnp.asarray(hidden_bias, weights.dtype))
        shapes = (weights.shape[:2], weights.shape[2:])
        for name, bias, shape in zip(("visible_bias", "hidden_bias"), biases, shapes, strict=True):
            if bias.shape != shape:
                raise ValueError(f"PottsRBM.{name} must have shape {shape}; got {bias.shape}.")
            checks.finite("PottsRBM", name, bias)
        checks.finite("PottsRBM", "weights", weights)
        self.weights, (self.visible_bias, self.hidden_bias) = weights, biases

    def visible_energy(self, v: Float[Array, "sites states"]) -> Scalar:
        """E(v, 0) = -sum_ia b_ia v_ia in nats."""
        self._one_sample(v)
        return -jnp.sum(self.visible_bias * v)

    def hidden_given(self, v: Float[Array, "sites states"]) -> Float[Array, " hidden"]:
        """Logits of p(h_j = 1 | v): c_j + sum_ia v_ia W_iaj."""
        self._one_sample(v)
        return self.hidden_bias + v.reshape(-1) @ self.weights.reshape(v.size, -1)

    def visible_given(self, h: Float[Array, " hidden"]) -> Float[Array, "sites states"]:
        """Logits of every site's states given h: b_ia + sum_j W_iaj h_j."""
        return self.visible_bias + self.weights @ h

    def visible_mean(self, h: Float[Array, " hidden"]) -> Float[Array, "sites states"]:
        """p(v_i is in state a | h)."""
        return jax.nn.softmax(self.visible_given(h), axis=-1)

    def sample_visible(self, key: Key, h: Float[Array, " hidden"]) -> Float[Array, "sites states"]:
        """One exact draw of all sites given the hidden units, one-hot."""
        logits = self.visible_given(h)
        return jax.nn.one_hot(categorical(key, logits), logits.shape[1], dtype=logits.dtype)

    def hidden_free_energy(self, h: Float[Array, " hidden"]) -> Scalar:
        """-log sum_v exp(-E(v, h)) in nats."""
        return -jnp.sum(self.hidden_bias * h) - jnp.sum(jax.nn.logsumexp(self.visible_given(h), axis=-1))

    def given(self, cond: Cond) -> "PottsRBM":
        """The machine of E(v, h) - cond . v.

        Args:
            cond: A field on the visible units, in the shape of v, in nats; None for none.
        """
        if cond is None:
            return self
        if jnp.shape(cond) != self.visible_bias.shape:
            raise ValueError(
                f"PottsRBM: cond must be a field on the visible units, of shape {self.visible_bias.shape}; got "
                f"shape {jnp.shape(cond)}."
            )
        return eqx.tree_at(lambda rbm: rbm.visible_bias, self, self.visible_bias + cond)

    def at_beta(self, beta: float | Scalar) -> "PottsRBM":
        """The machine of the joint energy beta E(v, h): every parameter times beta.

        Args:
            beta: Inverse temperature, >= 0; at 0 all states are equally likely.
        """
        checks.non_negative("PottsRBM", "beta", beta, ndim=0)
        return PottsRBM(beta * self.weights, beta * self.visible_bias, beta * self.hidden_bias)

    def _one_sample(self, v: Array) -> None:
        if v.shape != self.visible_bias.shape:
            raise ValueError(f"PottsRBM: v must be ONE sample of shape {self.visible_bias.shape}; got shape {v.shape}.")
