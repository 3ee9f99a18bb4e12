"""The modern Hopfield network of continuous states, which as a density is a mixture of Gaussians: all of it exact.

Source: Ramsauer et al. (2021), Hopfield networks is all you need, arXiv:2008.02217, eq. (2) (energy) and eq. (3)
(update, the attention of transformers).
Differs: the energy is beta times the source's without its constants, in nats, so that p(x) ~ exp(-E(x)) has variance
1 / beta around each pattern p_m, which weighs exp(beta |p_m|^2 / 2): long patterns dominate.
Exact: log Z, samples, density. Cost: patterns x dim operations per value.
Where samplers fail on it: patterns further apart than a few 1 / sqrt(beta) are valleys between which no local step
crosses.
"""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractDensity, AbstractEnergy, Cond, Key, checks


class ModernHopfield(AbstractEnergy, AbstractDensity):
    """E(x) = beta |x|^2 / 2 - log sum_m exp(beta p_m . x), x and the patterns p_m real vectors.

    Args:
        patterns: P, floating, [patterns, dim], in the units of x.
        beta: Inverse squared width of a pattern's valley, > 0.

    Raises:
        ValueError: Shapes do not fit, an entry is not finite, `beta` is not > 0, or x does not fit.

    Example:
        >>> energy = ModernHopfield(jnp.array([[3.0, 0.0], [0.0, 3.0]]), 4.0)
        >>> bool(jnp.allclose(energy.update(jnp.array([2.0, 1.0])), jnp.array([3.0, 0.0]), atol=1e-4))
        True
        >>> round(float(energy.log_z()), 4)  # log(2 exp(18) 2 pi / 4)
        19.1447
    """

    conditional: ClassVar[bool] = False
    patterns: Float[Array, "patterns dim"]
    beta: float | Scalar

    def __init__(self, patterns: Array, beta: float | Scalar = 1.0):
        patterns = jnp.asarray(patterns)
        if patterns.ndim != 2 or patterns.size == 0 or not jnp.issubdtype(patterns.dtype, jnp.floating):
            raise ValueError(
                f"ModernHopfield.patterns must be floating, of shape (patterns, dim); got {patterns.dtype} of shape "
                f"{patterns.shape}."
            )
        checks.finite("ModernHopfield", "patterns", patterns)
        checks.positive("ModernHopfield", "beta", beta, ndim=0)
        self.patterns, self.beta = patterns, beta

    def __call__(self, x: Float[Array, " dim"], cond: Cond = None) -> Scalar:
        """E(x) in nats."""
        self._one_sample(x)
        return 0.5 * self.beta * jnp.sum(x * x) - jax.nn.logsumexp(self.beta * (self.patterns @ x))

    def update(self, x: Float[Array, " dim"]) -> Float[Array, " dim"]:
        """P^T softmax(beta P x): the retrieval step, which is one of gradient descent with step 1 / beta."""
        self._one_sample(x)
        return jax.nn.softmax(self.beta * (self.patterns @ x)) @ self.patterns

    def log_z(self) -> Scalar:
        """log of the integral of exp(-E), exact, in nats."""
        width = jnp.log(2.0 * math.pi / jnp.asarray(self.beta, self.patterns.dtype))
        return jax.nn.logsumexp(self._log_weights()) + 0.5 * self.patterns.shape[1] * width

    def log_prob(self, x: Float[Array, " dim"]) -> Scalar:
        """log p(x) in nats, normalised."""
        return -self(x) - self.log_z()

    def sample(self, key: Key) -> Float[Array, " dim"]:
        """One exact sample."""
        choose, spread = jax.random.split(key)
        pattern = self.patterns[jax.random.categorical(choose, self._log_weights())]
        noise = jax.random.normal(spread, pattern.shape, pattern.dtype)
        return pattern + noise / jnp.sqrt(jnp.asarray(self.beta, pattern.dtype))

    def _log_weights(self) -> Float[Array, " patterns"]:
        return 0.5 * self.beta * jnp.sum(self.patterns * self.patterns, axis=1)

    def _one_sample(self, x: Array) -> None:
        if x.shape != self.patterns.shape[1:]:
            raise ValueError(
                f"ModernHopfield: x must be ONE sample of shape {self.patterns.shape[1:]}; got shape {x.shape}."
            )
