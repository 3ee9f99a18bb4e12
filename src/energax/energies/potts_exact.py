"""Exact answers of the uniform Potts model: ring, critical points of the square lattice, small tori.

Source: Wu (1982), The Potts model, doi:10.1103/RevModPhys.54.235, section I (ring) and V (critical points); Baxter
(1973), Potts model at the critical temperature, doi:10.1088/0022-3719/6/23/005 (first order above four states).
Differs: sums and powers are taken in logs; the torus is a transfer matrix in double precision (`transfer.py`).

All in double precision in NumPy, outside jit. Couplings K in nats, as in `Potts`; energies are the mean of
`Potts(...)(x)` per site, in nats (divide by K for units of J). Cost: O(1) for the ring and the critical points; for a
torus some products of matrices with states^cols rows. Where it fails: the plane away from the critical coupling is not
solved; tori beyond about six sites of three states are refused; on an odd ring of two states with strongly negative K
(frustrated) digits are lost as in `ising_ring`.
"""

import math
from typing import NamedTuple

import numpy as np

from energax.core import checks

from .transfer import counts_by_transfer, torus_by_transfer


class PottsRing(NamedTuple):
    """Exact values of a ring."""

    log_z: float
    """log Z of the whole ring, in nats."""
    energy: float
    """Mean energy per site, in nats."""


class PottsTorus(NamedTuple):
    """Exact values of a finite torus without field."""

    log_z: float
    """log Z of the whole torus, in nats."""
    energy: float
    """Mean energy per site, in nats."""
    specific_heat: float
    """Variance of the energy per site, in units of k."""


def potts_critical_coupling(states: int) -> float:
    """K_c = log(1 + sqrt q) of the square lattice, in nats: second order up to four states, first order above.

    Args:
        states: q, >= 2.

    Raises:
        ValueError: `states` < 2.

    Example:
        >>> round(potts_critical_coupling(3), 10)
        1.0050525387
    """
    return math.log1p(math.sqrt(checks.count("potts_critical_coupling", "states", states, least=2)))


def potts_critical_energy(states: int) -> float:
    """-(1 + 1 / sqrt q) K_c: mean energy per site of the square lattice at K_c, in nats.

    Above four states it is the mean of the two phases that coexist there.

    Args:
        states: q, >= 2.

    Raises:
        ValueError: `states` < 2.

    Example:
        >>> round(potts_critical_energy(4) / potts_critical_coupling(4), 10)
        -1.5
    """
    checks.count("potts_critical_energy", "states", states, least=2)
    return -(1.0 + 1.0 / math.sqrt(states)) * potts_critical_coupling(states)


def potts_ring(sites: int, states: int, coupling: float) -> PottsRing:
    """The ring without field: Z = (e^K + q - 1)^N + (q - 1) (e^K - 1)^N.

    Args:
        sites: N, >= 2 (two are joined twice).
        states: q, >= 2.
        coupling: K in nats, of any sign.

    Raises:
        ValueError: `sites` or `states` < 2, or `coupling` is not finite.

    Example:
        >>> round(potts_ring(10, 3, 1.0).log_z, 10)
        15.5145291966
    """
    log_large, ratio = _transfer("potts_ring", sites, states, coupling)
    total = 1.0 + (states - 1) * ratio**sites
    energy = -coupling * potts_ring_correlation(sites, states, coupling, 1)
    return PottsRing(sites * log_large + math.log(total), energy)


def potts_ring_correlation(sites: int, states: int, coupling: float, distance: int) -> float:
    """How often two sites of the ring at this distance are in one state: 1 / q where nothing correlates them.

    Args:
        sites: N, >= 2.
        states: q, >= 2.
        coupling: K in nats, of any sign.
        distance: 0 to `sites`.

    Raises:
        ValueError: As `potts_ring`, or `distance` is out of range.

    Example:
        >>> round(potts_ring_correlation(100, 3, 0.0, 2), 10)
        0.3333333333
    """
    checks.count("potts_ring_correlation", "distance", distance, least=0)
    _, ratio = _transfer("potts_ring_correlation", sites, states, coupling)
    if distance > sites:
        raise ValueError(f"potts_ring_correlation.distance must be <= sites = {sites}; got {distance}.")
    here, there = (1.0 + (states - 1) * ratio**n for n in (distance, sites - distance))
    return here * there / (states * (1.0 + (states - 1) * ratio**sites))


def potts_torus(rows: int, cols: int, states: int, coupling: float) -> PottsTorus:
    """The torus without field, by its transfer matrix: the model of `Potts.lattice((rows, cols), states, coupling)`.

    Args:
        rows: >= 2 (two are joined twice).
        cols: >= 2, with states^cols at most 1,024: the shorter side.
        states: q, >= 2.
        coupling: K in nats, of any sign.

    Raises:
        ValueError: A side or `states` is < 2, a row has too many states, or `coupling` is not finite.

    Example:
        >>> round(potts_torus(4, 4, 4, 0.8).log_z, 10)
        31.091559526
    """
    found = torus_by_transfer("potts_torus", rows, cols, states, coupling)
    sites = rows * cols
    return PottsTorus(found.log_z, -coupling * found.mean / sites, coupling * coupling * found.variance / sites)


def potts_torus_occupation(rows: int, cols: int, states: int, coupling: float) -> np.ndarray:
    """The law of how many sites of the torus are in one given state: probabilities of 0 .. rows cols.

    All moments of one state's share n / N follow; by symmetry <sum_s (n_s / N)^2> = q <(n / N)^2>.

    Args:
        rows: >= 2 (two are joined twice).
        cols: >= 2, with states^cols at most 256: the shorter side.
        states: q, >= 2.
        coupling: K in nats, of any sign.

    Raises:
        ValueError: As `potts_torus`.

    Example:
        >>> law = potts_torus_occupation(3, 3, 3, 0.5)
        >>> round(float(law @ np.arange(10)), 10)  # 9 sites, 3 states
        3.0
    """
    logs = counts_by_transfer("potts_torus_occupation", rows, cols, states, coupling)
    return np.exp(logs - np.logaddexp.reduce(logs))


def _transfer(owner: str, sites: int, states: int, coupling: float) -> tuple[float, float]:
    """log of the large eigenvalue e^K + q - 1 of the transfer matrix, and e^K - 1 over it."""
    checks.count(owner, "sites", sites, least=2)
    checks.count(owner, "states", states, least=2)
    checks.finite(owner, "coupling", coupling, ndim=0)
    fall, others = math.exp(-abs(coupling)), states - 1
    if coupling >= 0.0:
        log_large, ratio = coupling + math.log1p(others * fall), -math.expm1(-coupling) / (1.0 + others * fall)
    else:
        log_large, ratio = math.log(others + fall), math.expm1(coupling) / (others + fall)
    if others * ratio**sites <= -1.0:
        raise ValueError(f"{owner}.coupling must not be so negative on an odd ring that Z rounds to 0; got {coupling}.")
    return log_large, ratio
