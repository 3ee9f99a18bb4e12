"""Spin glasses: spins under random couplings, all pairs (Sherrington-Kirkpatrick) or neighbours (Edwards-Anderson).

Source: Sherrington and Kirkpatrick (1975), Solvable model of a spin-glass, doi:10.1103/PhysRevLett.35.1792; Edwards and
Anderson (1975), Theory of spin glasses, doi:10.1088/0305-4608/5/5/017; Aizenman, Lebowitz and Ruelle (1987), Some
rigorous results on the Sherrington-Kirkpatrick spin glass model, doi:10.1007/BF01217677 (fluctuations of log Z).
Differs: inverse temperature is inside the couplings, in nats; the disorder is drawn from a key and then fixed.
Exact: one draw of few sites by `enumerate_exact`; the mean of Z over the disorder at every size; log Z of many sites
for beta < 1, where it hardly depends on the draw. Cost: sites^2 operations per value and per set of local fields, or
edges for Edwards-Anderson.
Where samplers fail on it: below the glass transition (beta > 1) valleys are many and barriers grow with the size, so
that single flips at one temperature stay where they start; tempering helps.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Scalar

from energax.core import Key, checks
from energax.numerics import standard_normal as normal

from .boltzmann import BoltzmannMachine
from .ising import Ising, lattice_edges


class SKHighTemperature(NamedTuple):
    """log Z of the Sherrington-Kirkpatrick model without field for many sites N and beta < 1, over the disorder."""

    log_z: float
    """-beta f: log Z per spin in the limit, in nats."""
    shift: float
    """Mean of log Z - N log_z in the limit, in nats (of the whole system)."""
    variance: float
    """Variance of log Z in the limit, in nats squared (of the whole system)."""


def sherrington_kirkpatrick(key: Key, sites: int, beta: float | Scalar = 1.0, field: float = 0.0) -> BoltzmannMachine:
    """E(x) = -beta sum_{i < j} J_ij x_i x_j - H sum_i x_i with J_ij ~ N(0, 1 / N), on spins.

    Args:
        key: One typed key; it is used up. The same key gives the same disorder at every beta.
        sites: N, >= 2.
        beta: Inverse temperature, >= 0; the glass transition without field is at 1.
        field: H in nats.

    Raises:
        ValueError: `sites` < 2, `beta` is negative, or a parameter is not finite.

    Example:
        >>> import jax
        >>> energy = sherrington_kirkpatrick(jax.random.key(0), 50)
        >>> energy.weights.shape, energy.spins
        ((50, 50), True)
    """
    checks.count("sherrington_kirkpatrick", "sites", sites, least=2)
    checks.non_negative("sherrington_kirkpatrick", "beta", beta, ndim=0)
    checks.finite("sherrington_kirkpatrick", "field", field, ndim=0)
    upper = jnp.triu(normal(key, (sites, sites), jnp.result_type(float)), 1) / math.sqrt(sites)
    return BoltzmannMachine(beta * (upper + upper.T), jnp.full(sites, field, upper.dtype), spins=True)


def edwards_anderson(key: Key, shape: tuple[int, ...], beta: float | Scalar = 1.0, *, periodic: bool = True) -> Ising:
    """E(x) = -beta sum over neighbours J_ab x_a x_b with J_ab ~ N(0, 1): an Ising lattice of random couplings.

    Args:
        key: One typed key; it is used up. The same key gives the same disorder at every beta.
        shape: Sites along each of 1 to 3 axes, each >= 2.
        beta: Inverse temperature, >= 0.
        periodic: Whether the ends are joined.

    Raises:
        ValueError: `shape` is not 1 to 3 integers >= 2, or `beta` is negative or not finite.

    Example:
        >>> import jax
        >>> edwards_anderson(jax.random.key(0), (4, 4, 4)).strengths.shape
        (192,)
    """
    checks.non_negative("edwards_anderson", "beta", beta, ndim=0)
    pairs = lattice_edges(shape, periodic)
    strengths = normal(key, (len(pairs),), jnp.result_type(float))
    return Ising(pairs, beta * strengths, jnp.zeros(math.prod(shape), strengths.dtype))


def sk_log_mean_z(sites: int, beta: float) -> float:
    """log E[Z] over the disorder without field, exact at every size: N log 2 + beta^2 (N - 1) / 4, in nats.

    By Jensen's inequality it bounds E[log Z] from above.

    Args:
        sites: N, >= 2.
        beta: Inverse temperature, >= 0.

    Raises:
        ValueError: `sites` < 2, or `beta` is negative or not finite.

    Example:
        >>> round(sk_log_mean_z(100, 0.5), 10)
        75.502218056
    """
    checks.count("sk_log_mean_z", "sites", sites, least=2)
    checks.non_negative("sk_log_mean_z", "beta", beta, ndim=0)
    return sites * math.log(2.0) + 0.25 * beta * beta * (sites - 1)


def sk_high_temperature(beta: float) -> SKHighTemperature:
    """The limit of many sites above the glass transition: -beta f = log 2 + beta^2 / 4, and how log Z scatters.

    Args:
        beta: Inverse temperature, 0 <= beta < 1, without field.

    Raises:
        ValueError: `beta` is out of range: the glass phase is not covered.

    Example:
        >>> found = sk_high_temperature(0.5)
        >>> round(found.log_z, 6), round(found.variance, 6)
        (0.755647, 0.018841)
    """
    checks.non_negative("sk_high_temperature", "beta", beta, ndim=0)
    if beta >= 1.0:
        raise ValueError(f"sk_high_temperature.beta must be < 1, above the glass transition; got {beta}.")
    variance = -0.5 * (math.log1p(-beta * beta) + beta * beta)
    return SKHighTemperature(math.log(2.0) + 0.25 * beta * beta, -0.25 * beta * beta - 0.5 * variance, variance)
