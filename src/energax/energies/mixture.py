"""Mixture of Gaussians as one energy, with everything exact.

Source: Bishop (2006), Pattern recognition and machine learning, eq. (9.7).
Exact: log Z, samples, density, responsibilities. Cost: k d operations per value with diagonal scales, k d^2 with full
factors. Where it fails: full factors are applied as L^-1 x - L^-1 m, which loses digits once |m| is more than about
10^4 smallest standard deviations in float32.
"""

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Scalar

from energax.core import AbstractDensity, AbstractEnergy, Cond, Key, checks

from .factors import factor_times, inverse_factor


class GaussianMixture(AbstractEnergy, AbstractDensity):
    """E(x) = -log sum_k w_k N(x; m_k, L_k L_k^T).

    Args:
        log_weights: log w_k, shape [k]; need not be normalised: log Z is their log-sum-exp.
        means: Shape [k, d], in the units of x.
        scales: Standard deviations > 0: a number, [k] (one a component), [k, d]; or lower-triangular factors
            [k, d, d]. With k = d, shape [k] is read as one a component.

    Raises:
        ValueError: Shapes do not fit, an entry is not finite, or a standard deviation is not > 0.

    Example:
        >>> mix = GaussianMixture(jnp.log(jnp.array([0.2, 0.8])), jnp.array([[-3.0], [3.0]]), 1.0)
        >>> abs(float(mix.log_z())) < 1e-6
        True
    """

    conditional: ClassVar[bool] = False
    log_weights: Float[Array, " components"]
    means: Float[Array, "components dim"]
    inverse_scales: Float[Array, "components dim"] | Float[Array, "components dim dim"]

    def __init__(self, log_weights: Array, means: Array, scales: Array | float):
        means = jnp.asarray(means)
        if means.ndim != 2 or not jnp.issubdtype(means.dtype, jnp.floating):
            raise ValueError(
                f"GaussianMixture.means must be floating, of shape (k, d); got {means.dtype} of shape {means.shape}."
            )
        log_weights, scales = jnp.asarray(log_weights, means.dtype), jnp.asarray(scales, means.dtype)
        k, dim = means.shape
        if log_weights.shape != (k,):
            raise ValueError(f"GaussianMixture.log_weights must have shape ({k},); got {log_weights.shape}.")
        checks.finite("GaussianMixture", "log_weights", log_weights)
        checks.finite("GaussianMixture", "means", means)
        if scales.shape == (k, dim, dim):
            self.inverse_scales = inverse_factor("GaussianMixture", "scales", scales)
        elif scales.shape in ((), (k,), (k, dim)):
            checks.positive("GaussianMixture", "scales", scales)
            column = scales[:, None] if scales.ndim == 1 else scales
            self.inverse_scales = jnp.broadcast_to(1.0 / column, (k, dim))
        else:
            raise ValueError(
                f"GaussianMixture.scales must be a number or of shape ({k},), ({k}, {dim}) or ({k}, {dim}, {dim}); "
                f"got shape {scales.shape}."
            )
        self.log_weights, self.means = log_weights, means

    @classmethod
    def from_sklearn(cls, fitted: Any) -> "GaussianMixture":
        """The energy of a fitted `sklearn.mixture.GaussianMixture`, of any covariance type.

        Args:
            fitted: Has `weights_`, `means_`, `covariances_` and `covariance_type`.

        Raises:
            ValueError: It is not fitted, or of an unknown covariance type.
        """
        if not hasattr(fitted, "covariances_"):
            raise ValueError(f"GaussianMixture.from_sklearn: the mixture must be fitted; got {type(fitted).__name__}.")
        k, dim = fitted.means_.shape
        covariances = np.asarray(fitted.covariances_, np.float64)
        match fitted.covariance_type:
            case "full":
                scales = np.linalg.cholesky(covariances)
            case "tied":
                scales = np.broadcast_to(np.linalg.cholesky(covariances), (k, dim, dim))
            case "diag" | "spherical":
                scales = np.sqrt(covariances)
            case other:
                raise ValueError(f"GaussianMixture.from_sklearn: covariance_type must be sklearn's; got {other!r}.")
        floating = jnp.zeros(()).dtype
        return cls(
            jnp.asarray(np.log(fitted.weights_), floating),
            jnp.asarray(fitted.means_, floating),
            jnp.asarray(scales, floating),
        )

    @property
    def is_full(self) -> bool:
        """Whether the scales are triangular factors, not diagonals."""
        return self.inverse_scales.ndim == 3

    def component_log_probs(self, x: Float[Array, " dim"]) -> Float[Array, " components"]:
        """log (w_k N(x; m_k, L_k L_k^T)) of every component, in nats."""
        k, dim = self.means.shape
        if x.shape != (dim,):
            raise ValueError(f"GaussianMixture: x must be ONE sample of shape ({dim},); got shape {x.shape}.")
        if self.is_full:
            # one product of x with all factors at once: twice the speed of a batched product of (x - m_k)
            white = (x @ self.inverse_scales.reshape(k * dim, dim).T).reshape(k, dim)
            white = white - jnp.einsum("kij,kj->ki", self.inverse_scales, self.means)
            diagonal = jnp.diagonal(self.inverse_scales, axis1=-2, axis2=-1)
        else:
            white = (x[None, :] - self.means) * self.inverse_scales
            diagonal = self.inverse_scales
        constant = jnp.sum(jnp.log(diagonal), axis=-1) - 0.5 * dim * math.log(2.0 * math.pi)
        return self.log_weights + constant - 0.5 * jnp.sum(white * white, axis=-1)

    def __call__(self, x: Float[Array, " dim"], cond: Cond = None) -> Scalar:
        """E(x) in nats."""
        return -jax.nn.logsumexp(self.component_log_probs(x))

    def responsibilities(self, x: Float[Array, " dim"]) -> Float[Array, " components"]:
        """p(component | x); they sum to 1."""
        return jax.nn.softmax(self.component_log_probs(x))

    def log_z(self) -> Scalar:
        """log of the integral of exp(-E), exact: log sum_k w_k, in nats."""
        return jax.nn.logsumexp(self.log_weights)

    def log_prob(self, x: Float[Array, " dim"]) -> Scalar:
        """log p(x) in nats, normalised."""
        return -self(x) - self.log_z()

    def sample(self, key: Key) -> Float[Array, " dim"]:
        """One exact sample."""
        return self.sample_labelled(key)[0]

    def sample_labelled(self, key: Key) -> tuple[Float[Array, " dim"], Int[Array, ""]]:
        """One exact sample and the component that it came from."""
        choose, spread = jax.random.split(key)
        k = jax.random.categorical(choose, self.log_weights)
        noise = jax.random.normal(spread, self.means.shape[1:], self.means.dtype)
        inverse = self.inverse_scales[k]
        return self.means[k] + (factor_times(inverse, noise) if self.is_full else noise / inverse), k
