"""Forward and backward kernels that need leave nothing invariant, weighed exactly.

Source: Del Moral, Doucet and Jasra (2006), Sequential Monte Carlo samplers, doi:10.1111/j.1467-9868.2006.00553.x,
sections 2.3 and 3; for the unadjusted Langevin pair: Sivak, Chodera and Crooks (2013), Using nonequilibrium fluctuation
theorems to understand and correct errors in equilibrium and nonequilibrium simulations of discrete Langevin dynamics,
doi:10.1103/PhysRevX.3.011007; Carbone, Hua, Coste and Vanden-Eijnden (2023), arXiv:2305.19414.
Estimates Z without bias for ANY two kernels T and B of which the ratio is known: going from E_k to E_{k+1} by
x -> y the log weight gains E_k(x) - E_{k+1}(y) + log B(y -> x) - log T(x -> y). A kernel that leaves E_{k+1} invariant
is the special case where B is its reversal: then the gain is E_k(x) - E_{k+1}(x), and T need not be known.
What differs: the two log densities come as one difference, which a pair can often write without cancellation.
Cost: `ULAPair` takes two gradients a step, one at each end.
Fails: a pair far from invariance (a step size that is too large) has weights of huge spread; they are unbiased still.
"""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Scalar

from energax.core import AbstractEnergy, AbstractSampler, Key, X, checks
from energax.numerics.tree import add_scaled, dot, normal_like, squared_norm


class PairStep(NamedTuple):
    """Where a forward kernel went, and log B(y -> x) - log T(x -> y) of that move, nats."""

    x: X
    log_ratio: Scalar


class AbstractPair(eqx.Module):
    """A forward kernel T and a backward kernel B for every energy, with a known ratio of their densities."""

    @abc.abstractmethod
    def step(self, key: Key, energy: AbstractEnergy, x: X) -> PairStep:
        """Draws y from T(x -> .) -> (y, log B(y -> x) - log T(x -> y))."""

    @abc.abstractmethod
    def reversed(self) -> "AbstractPair":
        """The pair that draws from B and whose backward kernel is T: what a reverse run walks by."""


Kernel = AbstractSampler | AbstractPair


class ULAPair(AbstractPair):
    """Unadjusted Langevin forwards, unadjusted Langevin backwards: y = x - h grad E(x) + sqrt(2 h) xi, both ways.

    log B - log T = sqrt(h / 2) xi.(g(x) + g(y)) - h |g(x) + g(y)|^2 / 4,  g = grad E.

    Args:
        step_size: h, in squared units of x, > 0.

    Raises:
        ValueError: `step_size` is not a positive number.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> energy = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2))
        >>> y, log_ratio = ULAPair(0.1).step(jax.random.key(0), energy, jnp.ones(2))
        >>> bool(jnp.abs(log_ratio - (energy(y) - energy(jnp.ones(2)))) < 0.05)  # B/T near p(x)/p(y) for small h
        True
    """

    step_size: float | Scalar

    def __check_init__(self):
        checks.positive("ULAPair", "step_size", self.step_size, ndim=0)

    def step(self, key: Key, energy: AbstractEnergy, x: X) -> PairStep:
        noise, here = normal_like(key, x), jax.grad(energy)(x)
        y = add_scaled(add_scaled(x, -self.step_size, here), jnp.sqrt(2 * self.step_size), noise)
        # the noise of the way back is sqrt(h/2) (g(x) + g(y)) - xi; |xi|^2 drops out of the ratio
        both = add_scaled(here, 1.0, jax.grad(energy)(y))
        along, across = dot(noise, both), squared_norm(both)
        h = jnp.asarray(self.step_size, along.dtype)
        return PairStep(y, jnp.sqrt(0.5 * h) * along - 0.25 * h * across)

    def reversed(self) -> "ULAPair":
        return self
