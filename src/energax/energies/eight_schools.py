"""Eight schools: a hierarchy of eight effects, in the coordinates that suit samplers and in those that do not.

Source: Rubin (1981), Estimation in parallel randomized experiments, doi:10.3102/10769986006004377, for the data; Gelman
et al. (2013), Bayesian data analysis, 3rd edition, section 5.5; the two forms: Betancourt and Girolami (2013),
Hamiltonian Monte Carlo for hierarchical models, arXiv:1312.0906.
What differs: the prior on tau is half-Cauchy(5), on mu N(0, 5^2), as in posteriordb; tau enters as its logarithm, with
the Jacobian in E, so that all coordinates are real and log Z is the log evidence.
Exact: log Z and all first and second moments, mu and the effects in closed form and tau by quadrature. Cost: some
dozens of operations per value.
Where samplers fail on it: the centred form has a funnel at small tau, in which a fifth of the mass lies (tau < 1).
"""

import math
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractEnergy, Cond

from .quadrature_exact import gauss_legendre

EFFECTS = (28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0)
ERRORS = (15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0)
_LOG_2_PI = math.log(2.0 * math.pi)
# of the eight measurements, of mu and of tau's half-Cauchy
_CONSTANT = 4.0 * _LOG_2_PI + sum(map(math.log, ERRORS)) + 0.5 * _LOG_2_PI + math.log(5.0) - math.log(0.4 / math.pi)


class EightSchools(AbstractEnergy):
    """E(x) = -log p(y, x), x = (mu, log tau, z_1 .. z_8), the effects being theta_j = mu + tau z_j (not centred).

    y_j ~ N(theta_j, s_j^2), z_j ~ N(0, 1), mu ~ N(0, 5^2), tau ~ half-Cauchy(5).

    Raises:
        ValueError: x is not ten numbers.

    Example:
        >>> x = jnp.array([4.0, 1.0, *jnp.zeros(8)])
        >>> round(float(EightSchools()(x)), 4)
        41.6037
    """

    conditional: ClassVar[bool] = False

    def __call__(self, x: Float[Array, " dim"], cond: Cond = None) -> Scalar:
        """-log p(y, x) in nats."""
        _ten_numbers("EightSchools", x)
        z = x[2:]
        return _hyper(x) + _misfit(self.effects(x)) + 0.5 * jnp.sum(z * z) + 4.0 * _LOG_2_PI

    def effects(self, x: Float[Array, " dim"]) -> Float[Array, " schools"]:
        """theta_1 .. theta_8 of a sample."""
        return x[0] + jnp.exp(x[1]) * x[2:]


class EightSchoolsCentred(AbstractEnergy):
    """E(x) = -log p(y, x), x = (mu, log tau, theta_1 .. theta_8): the same posterior, centred.

    Raises:
        ValueError: x is not ten numbers.

    Example:
        >>> centred, other = jnp.array([4.0, 1.0, *jnp.full(8, 4.0)]), jnp.array([4.0, 1.0, *jnp.zeros(8)])
        >>> round(float(EightSchoolsCentred()(centred) - EightSchools()(other)), 4)  # 8 log tau
        8.0
    """

    conditional: ClassVar[bool] = False

    def __call__(self, x: Float[Array, " dim"], cond: Cond = None) -> Scalar:
        """-log p(y, x) in nats."""
        _ten_numbers("EightSchoolsCentred", x)
        z = (x[2:] - x[0]) * jnp.exp(-x[1])
        return _hyper(x) + _misfit(self.effects(x)) + 0.5 * jnp.sum(z * z) + 4.0 * _LOG_2_PI + 8.0 * x[1]

    def effects(self, x: Float[Array, " dim"]) -> Float[Array, " schools"]:
        """theta_1 .. theta_8 of a sample."""
        return x[2:]


class EightSchoolsExact(NamedTuple):
    """Exact posterior moments."""

    log_z: float
    """The log evidence, in nats."""
    mu: tuple[float, float]
    """Mean and standard deviation of mu."""
    tau: tuple[float, float]
    """Mean and standard deviation of tau."""
    effects: np.ndarray
    """Means and standard deviations of theta [2, 8]."""


def eight_schools_exact(panels: int = 40) -> EightSchoolsExact:
    """The evidence and the moments, by Gauss-Legendre quadrature over tau of what is Gaussian given it.

    Args:
        panels: Panels of 25 nodes on u in (0, 1), tau = 5 u / (1 - u).

    Example:
        >>> exact = eight_schools_exact()
        >>> round(exact.log_z, 6), round(exact.tau[0], 4)
        (-31.311347, 3.5977)
    """
    u, weights = gauss_legendre(0.0, 1.0, panels)
    tau = 5.0 * u / (1.0 - u)
    y, variance = np.array(EFFECTS)[None, :], np.array(ERRORS)[None, :] ** 2
    spread = variance + tau[:, None] ** 2  # of y around mu
    precision = 1.0 / 25.0 + np.sum(1.0 / spread, axis=1)
    mu = np.sum(y / spread, axis=1) / precision
    log_likelihood = -0.5 * np.sum(np.log(2.0 * np.pi * spread) + y**2 / spread, axis=1)
    log_likelihood += 0.5 * precision * mu**2 - 0.5 * np.log(25.0 * precision)
    logs = log_likelihood + np.log(2.0 / (5.0 * np.pi * (1.0 + (tau / 5.0) ** 2)) * weights * 5.0 / (1.0 - u) ** 2)
    log_z = float(np.logaddexp.reduce(logs))
    p = np.exp(logs - log_z)
    trust = tau[:, None] ** 2 / spread  # how far an effect follows its own measurement
    theta = trust * y + (1.0 - trust) * mu[:, None]
    theta_variance = variance * trust + (1.0 - trust) ** 2 / precision[:, None]
    effects = p @ theta
    return EightSchoolsExact(
        log_z,
        _moments(p @ mu, p @ (mu**2 + 1.0 / precision)),
        _moments(p @ tau, p @ tau**2),
        np.stack([effects, np.sqrt(p @ (theta**2 + theta_variance) - effects**2)]),
    )


def _moments(mean: float, square: float) -> tuple[float, float]:
    return float(mean), math.sqrt(square - mean**2)


def _hyper(x: Array) -> Scalar:
    """-log of the priors of mu and log tau, and of every constant."""
    # 1 + (tau / 5)^2 as softplus of its logarithm: no overflow at any tau
    tail = jnp.logaddexp(0.0, 2.0 * (x[1] - math.log(5.0)))
    return 0.5 * (x[0] / 5.0) ** 2 + tail - x[1] + _CONSTANT


def _misfit(theta: Array) -> Scalar:
    errors = (jnp.array(EFFECTS, theta.dtype) - theta) / jnp.array(ERRORS, theta.dtype)
    return 0.5 * jnp.sum(errors * errors)


def _ten_numbers(owner: str, x: Array) -> None:
    if x.shape != (10,):
        raise ValueError(f"{owner}: x must be ONE sample of shape (10,); got shape {x.shape}.")
