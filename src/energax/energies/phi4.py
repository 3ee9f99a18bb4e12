"""The phi^4 chain: a continuous field on a ring, with two wells at every site and springs between neighbours.

Source: the lattice form of the Landau-Ginzburg chain as in Krumhansl and Schrieffer (1975), Dynamics and statistical
mechanics of a one-dimensional model Hamiltonian for structural phase transitions, doi:10.1103/PhysRevB.11.3535; its
transfer operator: Scalapino, Sears and Ferrell (1972), Statistical mechanics of one-dimensional Ginzburg-Landau fields,
doi:10.1103/PhysRevB.6.3409.
What differs: temperature is inside the coefficients, so that E is in nats.
Exact: log Z, <phi^2>, the correlation function and <m^2> for any number of sites, by the transfer operator on
Gauss-Legendre nodes. Cost: sites operations per value.
Where samplers fail on it: domains of one sign move by their walls only; in the ordered regime a local chain crosses
between the signs of the magnetisation about never.
"""

from typing import ClassVar, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractEnergy, Cond, checks

from .enumeration import concrete
from .quadrature_exact import gauss_legendre


class Phi4Chain(AbstractEnergy):
    """E(x) = sum_i [coupling / 2 (x_{i+1} - x_i)^2 + depth (x_i^2 - 1)^2] on a ring.

    Args:
        sites: How many, >= 2; two sites are joined by two springs.
        coupling: Stiffness of a spring, in nats, >= 0.
        depth: Height of the barrier between the wells of one site, in nats, > 0.

    Raises:
        ValueError: A number is out of range, or x does not fit.

    Example:
        >>> float(Phi4Chain(4)(jnp.array([1.0, 1.0, -1.0, -1.0])))  # two walls
        4.0
    """

    conditional: ClassVar[bool] = False
    sites: int = eqx.field(static=True, default=16)
    coupling: float | Scalar = 1.0
    depth: float | Scalar = 1.0

    def __check_init__(self):
        checks.count("Phi4Chain", "sites", self.sites, least=2)
        checks.non_negative("Phi4Chain", "coupling", self.coupling, ndim=0)
        checks.positive("Phi4Chain", "depth", self.depth, ndim=0)

    def __call__(self, x: Float[Array, " sites"], cond: Cond = None) -> Scalar:
        """E(x) in nats."""
        if x.shape != (self.sites,):
            raise ValueError(f"Phi4Chain: x must be ONE sample of shape ({self.sites},); got shape {x.shape}.")
        spring, gap = jnp.roll(x, -1) - x, x * x - 1.0
        return 0.5 * self.coupling * jnp.sum(spring * spring) + self.depth * jnp.sum(gap * gap)


class Phi4Exact(NamedTuple):
    """Exact averages of the chain."""

    log_z: float
    """log of the integral of exp(-E), in nats."""
    correlation: np.ndarray
    """<x_i x_{i+r}> for r = 0 .. sites - 1."""
    magnetisation_square: float
    """<m^2>, m the mean of x over the sites."""


def phi4_exact(energy: Phi4Chain, panels: int = 12) -> Phi4Exact:
    """log Z and correlations from the eigenvalues l_k of the transfer operator: Z = sum_k l_k^sites.

    Args:
        energy: The chain; any number of sites costs the same but for the sum over distances.
        panels: Panels of 25 nodes on the interval where a site has its mass, >= 1.

    Raises:
        ValueError: `energy` is no such chain, `panels` is no count, or called under jit.

    Example:
        >>> exact = phi4_exact(Phi4Chain(64, 2.0, 2.0))
        >>> round(exact.log_z, 6), round(float(exact.correlation[0]), 6)
        (-25.377385, 0.784311)
    """
    if not isinstance(energy, Phi4Chain):
        raise ValueError(f"phi4_exact.energy must be a Phi4Chain; got {type(energy).__name__}.")
    checks.count("phi4_exact", "panels", panels)
    coupling, depth = (float(a) for a in concrete("phi4_exact", energy.coupling, energy.depth))
    half = np.sqrt(1.0 + np.sqrt(60.0 / depth))  # exp(-60) of the wells' peak is lost in rounding
    x, w = gauss_legendre(-half, half, panels)
    well = depth * (x * x - 1.0) ** 2
    exponent = -0.5 * (well[:, None] + well[None, :] + coupling * (x[:, None] - x[None, :]) ** 2)
    values, vectors = np.linalg.eigh(np.exp(exponent) * np.sqrt(np.outer(w, w)))
    kept = values > 1e-14 * values[-1]  # the rest are rounding: the operator is positive
    logs, vectors = np.log(values[kept]), vectors[:, kept]
    log_z = float(np.logaddexp.reduce(energy.sites * logs))
    matrix = (vectors.T @ (x[:, None] * vectors)) ** 2
    left, right = logs[:, None], logs[None, :]
    shares = ((energy.sites - r) * left + r * right for r in range(energy.sites))
    correlation = np.array([np.sum(np.exp(share - log_z) * matrix) for share in shares])
    # at distance 0 the sum over intermediate states is <x^2> in full: do not cut it
    correlation[0] = np.exp(energy.sites * logs - log_z) @ np.einsum("ik,i,ik->k", vectors, x * x, vectors)
    return Phi4Exact(log_z, correlation, float(correlation.mean()))
