"""The restricted Boltzmann machine with real visible units and bits behind them: a mixture of 2^hidden Gaussians.

Source: Welling, Rosen-Zvi and Hinton (2004), Exponential family harmoniums with an application to information
retrieval, NIPS 17; the parameters as in Cho, Ilin and Raiko (2011), Improved learning of Gaussian-Bernoulli restricted
Boltzmann machines, doi:10.1007/978-3-642-21735-7_2, so that the mean of v given h does not depend on the
variances.
Exact: both conditionals, the free energy; log Z, moments and samples by the sum over 2^hidden Gaussian integrals in
`rbm_exact.py`. Cost: visible times hidden operations per value and per half of a Gibbs sweep.
Where it fails: block Gibbs crosses between far components about never; variances that are trained can collapse.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from energax.core import Cond, Key, checks
from energax.numerics import standard_normal

from .hidden_bits import AbstractHiddenBits


class GaussianRBM(AbstractHiddenBits):
    """E(v, h) = sum_i (v_i - b_i)^2 / (2 s_i^2) - c . h - sum_i v_i (W h)_i / s_i^2, v real and h in {0, 1}^hidden.

    Given h, v ~ N(b + W h, s^2); given v, the logits of h are c + (v / s^2) W.

    Args:
        weights: W, floating, [visible, hidden], in the units of v.
        visible_bias: b, [visible], in the units of v.
        hidden_bias: c, [hidden], in nats.
        variances: s^2, a number or [visible], > 0; kept as logarithms, so that training cannot make them negative.

    Raises:
        ValueError: Shapes do not fit, an entry is not finite, a variance is not > 0, or v does not fit.

    Example:
        >>> rbm = GaussianRBM(jnp.array([[2.0]]), jnp.array([1.0]), jnp.zeros(1), 0.25)
        >>> rbm.visible_mean(jnp.ones(1)).tolist(), rbm.hidden_given(jnp.ones(1)).tolist()
        ([3.0], [8.0])
    """

    weights: Float[Array, "visible hidden"]
    visible_bias: Float[Array, " visible"]
    hidden_bias: Float[Array, " hidden"]
    log_variances: Float[Array, " visible"]

    def __init__(self, weights: Array, visible_bias: Array, hidden_bias: Array, variances: Array | float = 1.0):
        weights = jnp.asarray(weights)
        if weights.ndim != 2 or not jnp.issubdtype(weights.dtype, jnp.floating):
            raise ValueError(
                f"GaussianRBM.weights must be floating, of shape (visible, hidden); got {weights.dtype} of shape "
                f"{weights.shape}."
            )
        biases = (jnp.asarray(visible_bias, weights.dtype), jnp.asarray(hidden_bias, weights.dtype))
        for name, bias, size in zip(("visible_bias", "hidden_bias"), biases, weights.shape, strict=True):
            if bias.shape != (size,):
                raise ValueError(f"GaussianRBM.{name} must have shape ({size},); got {bias.shape}.")
            checks.finite("GaussianRBM", name, bias)
        variances = jnp.asarray(variances, weights.dtype)
        if variances.shape not in ((), (weights.shape[0],)):
            raise ValueError(
                f"GaussianRBM.variances must be a number or of shape ({weights.shape[0]},); got {variances.shape}."
            )
        checks.finite("GaussianRBM", "weights", weights)
        checks.positive("GaussianRBM", "variances", variances)
        self.weights, (self.visible_bias, self.hidden_bias) = weights, biases
        self.log_variances = jnp.broadcast_to(jnp.log(variances), (weights.shape[0],))

    def visible_energy(self, v: Float[Array, " visible"]) -> Scalar:
        """E(v, 0) = sum_i (v_i - b_i)^2 / (2 s_i^2) in nats."""
        self._one_sample(v)
        shift = v - self.visible_bias
        return 0.5 * jnp.sum(shift * shift * jnp.exp(-self.log_variances))

    def hidden_given(self, v: Float[Array, " visible"]) -> Float[Array, " hidden"]:
        """Logits of p(h_j = 1 | v): c + (v / s^2) W."""
        self._one_sample(v)
        return self.hidden_bias + (v * jnp.exp(-self.log_variances)) @ self.weights

    def visible_given(self, h: Float[Array, " hidden"]) -> Float[Array, "2 visible"]:
        """Natural parameters of p(v | h): mean / s^2, and -1 / (2 s^2)."""
        precision = jnp.exp(-self.log_variances)
        return jnp.stack([precision * self.visible_mean(h), -0.5 * precision])

    def visible_mean(self, h: Float[Array, " hidden"]) -> Float[Array, " visible"]:
        """E[v | h] = b + W h."""
        return self.visible_bias + self.weights @ h

    def sample_visible(self, key: Key, h: Float[Array, " hidden"]) -> Float[Array, " visible"]:
        """One exact draw of all visible units given the hidden ones."""
        mean = self.visible_mean(h)
        return mean + jnp.exp(0.5 * self.log_variances) * standard_normal(key, mean.shape, mean.dtype)

    def hidden_free_energy(self, h: Float[Array, " hidden"]) -> Scalar:
        """-log of the integral of exp(-E(v, h)) over v, in nats."""
        push = self.weights @ h
        # completing the square: (v - b)^2 / 2 - v m = (v - b - m)^2 / 2 - b m - m^2 / 2, over s^2
        gain = jnp.sum((self.visible_bias * push + 0.5 * push * push) * jnp.exp(-self.log_variances))
        volume = 0.5 * jnp.sum(self.log_variances) + 0.5 * push.size * math.log(2.0 * math.pi)
        return -jnp.sum(self.hidden_bias * h) - gain - volume

    def given(self, cond: Cond) -> "GaussianRBM":
        """The machine itself, which takes no condition.

        Args:
            cond: None.
        """
        if cond is not None:
            raise ValueError(
                f"GaussianRBM: cond must be None; got shape {jnp.shape(cond)}. A field c on the visible units is a "
                "machine whose visible_bias is moved by variances * c."
            )
        return self

    def at_beta(self, beta: float | Scalar) -> "GaussianRBM":
        """The machine of the joint energy beta E(v, h): variances over beta, hidden biases times beta.

        Args:
            beta: Inverse temperature, > 0: at 0 the visible units have no law.
        """
        checks.positive("GaussianRBM", "beta", beta, ndim=0)
        return GaussianRBM(self.weights, self.visible_bias, beta * self.hidden_bias, jnp.exp(self.log_variances) / beta)

    def _one_sample(self, v: Array) -> None:
        if v.shape != self.visible_bias.shape:
            raise ValueError(
                f"GaussianRBM: v must be ONE sample of shape {self.visible_bias.shape}; got shape {v.shape}."
            )
