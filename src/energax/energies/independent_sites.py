"""Spins and categories without couplings: the base from which paths to Ising, Potts and their kin begin.

Source: Wainwright and Jordan (2008), Graphical models, exponential families, and variational inference,
doi:10.1561/2200000001, section 5.3 (the fully factorised distributions of mean-field theory).
What differs: nothing is fitted; with zero fields each is the uniform law, infinite temperature.
Exact: log Z, and independent samples. Cost: one operation a site and state. `IndependentBits` is the same for bits.
Where samplers fail on them: nowhere. As a base it fails where the target has its mass on few of all states: then many
temperatures are needed.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractDensity, AbstractEnergy, Cond, Key, checks


class IndependentSpins(AbstractEnergy, AbstractDensity):
    """E(x) = -fields . x, x in {-1, +1}^sites.

    Args:
        fields: In nats, floating, [sites].

    Raises:
        ValueError: `fields` is no vector of finite floating numbers, or x does not fit.

    Example:
        >>> base = IndependentSpins(jnp.zeros(16))
        >>> round(float(base.log_z()), 4)  # 16 log 2
        11.0904
    """

    conditional: ClassVar[bool] = False
    fields: Float[Array, " sites"]

    def __check_init__(self):
        if self.fields.ndim != 1 or not jnp.issubdtype(self.fields.dtype, jnp.floating):
            raise ValueError(
                f"IndependentSpins.fields must be floating, of shape (sites,); got {self.fields.dtype} of shape "
                f"{self.fields.shape}."
            )
        checks.finite("IndependentSpins", "fields", self.fields)

    def __call__(self, x: Float[Array, " sites"], cond: Cond = None) -> Scalar:
        """E(x) in nats."""
        if x.shape != self.fields.shape:
            raise ValueError(f"IndependentSpins: x must be ONE sample of shape {self.fields.shape}; got {x.shape}.")
        return -jnp.sum(self.fields * x)

    def log_z(self) -> Scalar:
        """log of the sum over all x, exact, in nats."""
        return jnp.sum(jnp.logaddexp(self.fields, -self.fields))

    def log_prob(self, x: Float[Array, " sites"]) -> Scalar:
        """log p(x) in nats."""
        return -self(x) - self.log_z()

    def sample(self, key: Key) -> Float[Array, " sites"]:
        """One exact sample."""
        up = jax.random.bernoulli(key, jax.nn.sigmoid(2.0 * self.fields))
        return jnp.where(up, 1.0, -1.0).astype(self.fields.dtype)


class IndependentCategories(AbstractEnergy, AbstractDensity):
    """E(x) = -sum_i logits_i . x_i, x one-hot [sites, states].

    Args:
        logits: In nats, floating, [sites, states].

    Raises:
        ValueError: `logits` is no matrix of finite floating numbers, or x does not fit.

    Example:
        >>> base = IndependentCategories(jnp.zeros((9, 3)))
        >>> round(float(base.log_z()), 4)  # 9 log 3
        9.8875
    """

    conditional: ClassVar[bool] = False
    logits: Float[Array, "sites states"]

    def __check_init__(self):
        if self.logits.ndim != 2 or not jnp.issubdtype(self.logits.dtype, jnp.floating):
            raise ValueError(
                f"IndependentCategories.logits must be floating, of shape (sites, states); got {self.logits.dtype} of "
                f"shape {self.logits.shape}."
            )
        checks.finite("IndependentCategories", "logits", self.logits)

    def __call__(self, x: Float[Array, "sites states"], cond: Cond = None) -> Scalar:
        """E(x) in nats."""
        if x.shape != self.logits.shape:
            raise ValueError(
                f"IndependentCategories: x must be ONE sample of shape {self.logits.shape}; got {x.shape}."
            )
        return -jnp.sum(self.logits * x)

    def log_z(self) -> Scalar:
        """log of the sum over all x, exact, in nats."""
        return jnp.sum(jax.nn.logsumexp(self.logits, axis=-1))

    def log_prob(self, x: Float[Array, "sites states"]) -> Scalar:
        """log p(x) in nats."""
        return -self(x) - self.log_z()

    def sample(self, key: Key) -> Float[Array, "sites states"]:
        """One exact sample."""
        states = jax.random.categorical(key, self.logits)
        return jax.nn.one_hot(states, self.logits.shape[-1], dtype=self.logits.dtype)
