"""The Curie-Weiss model: every spin coupled equally to every other, solved exactly at every size.

Source: Kac (1968), Mathematical mechanisms of phase transitions, in Brandeis lectures 1966; Friedli and Velenik (2017),
Statistical mechanics of lattice systems, doi:10.1017/9781316882603, chapter 2.
Differs: inverse temperature is inside the coupling and the field, so both are in nats (K = J / kT, H = h / kT); between
the spins the energy is the multilinear extension, in which a spin does not act on itself.
Exact: log Z and the law of the magnetisation at every size, by the sum over its sites + 1 values; the limit of many
sites by the mean-field equation m = tanh(K m + H). Cost: O(sites) per value, per set of local fields and per exact sum.
Where samplers fail on it: single flips take about exp(sites x barrier) sweeps between the two signs for K > 1.
"""

import math
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Scalar
from scipy.optimize import brentq
from scipy.special import gammaln

from energax.core import AbstractLatticeEnergy, Cond, checks


class CurieWeissExact(NamedTuple):
    """Exact values at a finite size."""

    log_z: float
    """log Z of the whole system, in nats."""
    energy: float
    """Mean energy per spin, in nats."""
    specific_heat: float
    """Variance of the energy per spin, in units of k."""
    magnetisation: float
    """<m>, m the mean spin."""
    abs_magnetisation: float
    """<|m|>."""
    squared_magnetisation: float
    """<m^2>."""
    binder: float
    """1 - <m^4> / (3 <m^2>^2)."""


class CurieWeissLimit(NamedTuple):
    """The limit of many sites."""

    log_z: float
    """log Z per spin (-beta f), in nats."""
    energy: float
    """Mean energy per spin, in nats."""
    magnetisation: float
    """The stable solution of m = tanh(K m + H), >= 0 without a field."""


class CurieWeiss(AbstractLatticeEnergy):
    """E(x) = -(K / 2N) M^2 - H M with M = sum_i x_i, x in {-1, +1}^N.

    Args:
        sites: N, >= 1.
        coupling: K in nats; the transition without field is at K = 1.
        field: H in nats.

    Raises:
        ValueError: `sites` < 1, a parameter is not finite, or x does not fit.

    Example:
        >>> energy = CurieWeiss(4, 1.0, 0.5)
        >>> float(energy(jnp.ones(4)))  # -16 / 8 - 4 / 2
        -4.0
    """

    conditional: ClassVar[bool] = False
    sites: int = eqx.field(static=True)
    coupling: float | Scalar
    field: float | Scalar = 0.0

    def __check_init__(self):
        checks.count("CurieWeiss", "sites", self.sites)
        checks.finite("CurieWeiss", "coupling", self.coupling, ndim=0)
        checks.finite("CurieWeiss", "field", self.field, ndim=0)

    def __call__(self, x: Float[Array, " sites"], cond: Cond = None) -> Scalar:
        """E(x) in nats."""
        self._one_sample(x)
        total = jnp.sum(x)
        # x_i^2 - 1 is 0 at spins; without it the gradient would hold each spin's own pull
        squared = total * total - jnp.sum(x * x - 1.0)
        return -0.5 / self.sites * self.coupling * squared - self.field * total

    def local_field(self, x: Float[Array, " sites"]) -> Float[Array, " sites"]:
        """h_i = H + (K / N) (M - x_i), in nats, for every site at once."""
        self._one_sample(x)
        return self.field + self.coupling / self.sites * (jnp.sum(x) - x)

    def conditional_logits(self, x: Float[Array, " sites"], site: Int[Array, ""]) -> Float[Array, " states"]:
        """Logits of x_site = -1 and of x_site = +1 given the rest; x_site itself does not count."""
        field = self.local_field(x)[site]
        return jnp.stack([-field, field])

    def _one_sample(self, x: Array) -> None:
        if x.shape != (self.sites,):
            raise ValueError(f"CurieWeiss: x must be ONE sample of shape ({self.sites},); got shape {x.shape}.")


def curie_weiss_exact(sites: int, coupling: float, field: float = 0.0) -> CurieWeissExact:
    """The model of `CurieWeiss(sites, coupling, field)`: the sum over the magnetisation, in double precision.

    Z = sum_k C(N, k) exp(K M^2 / 2N + H M) with M = N - 2k.

    Args:
        sites: N, >= 1.
        coupling: K in nats, of any sign.
        field: H in nats.

    Raises:
        ValueError: `sites` < 1, or a parameter is not finite.

    Example:
        >>> round(curie_weiss_exact(100, 1.0).log_z, 10)
        70.7862767637
    """
    checks.count("curie_weiss_exact", "sites", sites)
    checks.finite("curie_weiss_exact", "coupling", coupling, ndim=0)
    checks.finite("curie_weiss_exact", "field", field, ndim=0)
    down = np.arange(sites + 1)
    total = sites - 2.0 * down
    energies = -0.5 * coupling / sites * total**2 - field * total
    logs = gammaln(sites + 1) - gammaln(down + 1) - gammaln(sites - down + 1) - energies
    log_z = float(np.logaddexp.reduce(logs))
    p, m = np.exp(logs - log_z), total / sites
    energy, squared = float(p @ energies), float(p @ m**2)
    return CurieWeissExact(
        log_z,
        energy / sites,
        float(p @ (energies - energy) ** 2) / sites,
        float(p @ m),
        float(p @ np.abs(m)),
        squared,
        1.0 - float(p @ m**4) / (3.0 * squared**2),
    )


def curie_weiss_limit(coupling: float, field: float = 0.0) -> CurieWeissLimit:
    """The limit of many sites: -beta f = -K m^2 / 2 + log 2 cosh(K m + H) at the stable m = tanh(K m + H).

    Args:
        coupling: K in nats, of any sign.
        field: H in nats; the magnetisation has its sign.

    Raises:
        ValueError: A parameter is not finite.

    Example:
        >>> round(curie_weiss_limit(1.5).magnetisation, 10)
        0.8585596366
    """
    checks.finite("curie_weiss_limit", "coupling", coupling, ndim=0)
    checks.finite("curie_weiss_limit", "field", field, ndim=0)
    push = abs(field)
    if push == 0.0 and coupling <= 1.0:
        m = 0.0
    else:
        # below sqrt(3 (K - 1) / K^3) the cubic Taylor bound of tanh keeps the root 0 out
        low = 0.5 * math.sqrt(3.0 * (coupling - 1.0) / coupling**3) if push == 0.0 else 0.0
        m = float(brentq(lambda m: math.tanh(coupling * m + push) - m, low, 1.0, xtol=1e-300, rtol=1e-15))
    pull = abs(coupling * m + push)
    log_z = -0.5 * coupling * m * m + pull + math.log1p(math.exp(-2.0 * pull))
    return CurieWeissLimit(log_z, -0.5 * coupling * m * m - push * m, math.copysign(m, field))
