"""The unadjusted Langevin algorithm.

Source: Parisi (1981), Correlation functions and computer simulations, doi:10.1016/0550-3213(81)90056-0, eq. (2.6);
    Roberts and Tweedie (1996), Exponential convergence of Langevin distributions, doi:10.2307/3318418, sec. 1.4.1.
What differs: a temperature is a field, so that the decoupled step and noise of the EBM literature (`ULA.from_noise`)
    name the density that they sample.
Leaves nothing exactly invariant: on a Gaussian of variance s^2 the stationary variance is s^2 / (1 - h / (2 s^2)), an
O(h) bias, and for h > 2 s^2 it diverges. Cost: one gradient a step. Fails silently where h is too large; MALA does not.
"""

from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Key, X, checks
from energax.numerics.tree import add_scaled, all_finite, normal_like


class ULAState(NamedTuple):
    """Where the chain is; nothing is cached."""

    x: X


class ULAInfo(NamedTuple):
    """Energy before the step [nats]; acceptance is 1, there is no test."""

    energy: Scalar
    acceptance: Scalar
    divergent: Bool[Array, ""]


class ULA(AbstractSampler):
    """x' = x - h grad E(x) + sqrt(2 h T) xi, xi ~ N(0, 1).

    Args:
        step_size: h, in squared units of x, > 0.
        temperature: T >= 0: the chain samples exp(-E / T), up to its bias in h. 0 is gradient descent.

    Raises:
        ValueError: `step_size` is not a positive number, or `temperature` a negative one.

    Example:
        >>> round(float(ULA(0.02).noise), 4)
        0.2
    """

    exact: ClassVar[bool] = False
    step_size: float | Scalar
    temperature: float | Scalar = eqx.field(default=1.0, kw_only=True)

    def __check_init__(self):
        checks.positive("ULA", "step_size", self.step_size, ndim=0)
        checks.non_negative("ULA", "temperature", self.temperature, ndim=0)

    @classmethod
    def from_noise(cls, step_size: float | Scalar, noise: float | Scalar) -> "ULA":
        """The practitioners' form x' = x - step_size grad E + noise xi: T = noise^2 / (2 step_size).

        Args:
            step_size: Weight of the gradient, > 0.
            noise: Standard deviation of the added noise, in the units of x, >= 0.

        Example:
            >>> float(ULA.from_noise(10.0, 0.005).temperature)  # IGEBM's choice: nearly gradient descent
            1.25e-06
        """
        checks.positive("ULA", "step_size", step_size, ndim=0)
        checks.non_negative("ULA", "noise", noise, ndim=0)
        return cls(step_size, temperature=noise**2 / (2 * step_size))

    @property
    def noise(self) -> Scalar:
        """Standard deviation of the noise of one step, in the units of x."""
        return jnp.sqrt(2 * self.step_size * self.temperature)

    def init(self, energy: AbstractEnergy, x: X) -> ULAState:
        return ULAState(x)

    def refresh(self, energy: AbstractEnergy, state: ULAState) -> ULAState:
        return state

    def step(self, key: Key, energy: AbstractEnergy, state: ULAState) -> tuple[ULAState, ULAInfo]:
        value, gradient = jax.value_and_grad(energy)(state.x)
        drifted = add_scaled(state.x, -self.step_size, gradient)
        x = add_scaled(drifted, self.noise, normal_like(key, state.x))
        divergent = ~(jnp.isfinite(value) & all_finite(gradient))
        return ULAState(x), ULAInfo(value, jnp.ones_like(value), divergent)
