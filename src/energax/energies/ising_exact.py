"""Exact answers of the uniform Ising model: ring, finite torus, infinite square lattice, density of states.

Source: Kramers and Wannier (1941), doi:10.1103/PhysRev.60.252 (ring, transfer matrix); Kaufman (1949),
doi:10.1103/PhysRev.76.1232, with g_0 = 2K + ln tanh K, sign kept (torus); Onsager (1944),
doi:10.1103/PhysRev.65.117 (plane); Yang (1952), doi:10.1103/PhysRev.85.808 (magnetisation).
Differs: sums and products are taken in logs; cosh g - 1 and 1 - k^2 are written without the cancellation at K_c.

All in double precision in NumPy, outside jit. Couplings K and fields H in nats, as in `Ising`; energies are the mean of
`Ising(...)(x)` per spin, in nats (divide by K for units of J). Cost: O(1) for ring and plane, O(rows + cols) for the
torus, 2^(rows cols) for the density of states. Where it fails: a field in two dimensions is not solved; torus and plane
want K > 0 (K < 0 on an even torus has the log Z of |K|); on an odd ring with strongly negative K (frustrated) 1 + q^N
loses digits, about log10(exp(2 |K|) / N) of the 16.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import ellipkm1

from energax.core import checks

from .enumeration import few_units, state_blocks
from .ising import lattice_edges

ISING_CRITICAL_COUPLING = 0.5 * math.log1p(math.sqrt(2.0))
"""K_c of the square lattice, 0.4406867935."""

NUM_NODES = 160


class IsingRing(NamedTuple):
    """Exact values of a ring."""

    log_z: float
    """log Z of the whole ring, in nats."""
    energy: float
    """Mean energy per spin, in nats."""
    magnetisation: float
    """Mean spin."""


class IsingTorus(NamedTuple):
    """Exact values of a finite torus without field."""

    log_z: float
    """log Z of the whole torus, in nats."""
    energy: float
    """Mean energy per spin, in nats."""


class IsingPlane(NamedTuple):
    """Exact values of the infinite square lattice without field."""

    log_z: float
    """log Z per spin (-beta f), in nats."""
    energy: float
    """Mean energy per spin, in nats."""
    magnetisation: float
    """Spontaneous magnetisation, 0 up to K_c."""


def ising_ring(sites: int, coupling: float, field: float = 0.0) -> IsingRing:
    """The ring of `sites` spins in a field: the model of `Ising.lattice((sites,), coupling, field)`.

    Args:
        sites: Spins, >= 2 (two are joined twice).
        coupling: K in nats, of any sign.
        field: H in nats.

    Raises:
        ValueError: `sites` < 2, or a parameter is not finite.

    Example:
        >>> round(ising_ring(10, 0.5).log_z, 10)
        8.1330609176
    """
    log_large, ratio, tilt = _transfer("ising_ring", sites, coupling, field)
    wound = ratio**sites
    magnetisation = tilt * (1.0 - wound) / (1.0 + wound)
    correlation = _ring_correlation(sites, 1, ratio, tilt)
    energy = -coupling * correlation - field * magnetisation
    return IsingRing(sites * log_large + math.log1p(wound), energy, magnetisation)


def ising_ring_correlation(sites: int, coupling: float, distance: int, field: float = 0.0) -> float:
    """<s_0 s_distance> on the ring, not connected (the squared magnetisation is in it).

    Args:
        sites: Spins, >= 2.
        coupling: K in nats, of any sign.
        distance: 0 to `sites`.
        field: H in nats.

    Raises:
        ValueError: As `ising_ring`, or `distance` is out of range.

    Example:
        >>> round(ising_ring_correlation(100, 1.0, 3), 10)  # tanh(1)^3
        0.4417441517
    """
    checks.count("ising_ring_correlation", "distance", distance, least=0)
    _, ratio, tilt = _transfer("ising_ring_correlation", sites, coupling, field)
    if distance > sites:
        raise ValueError(f"ising_ring_correlation.distance must be <= sites = {sites}; got {distance}.")
    return _ring_correlation(sites, distance, ratio, tilt)


def ising_torus(rows: int, cols: int, coupling: float) -> IsingTorus:
    """Kaufman's torus without field: the model of `Ising.lattice((rows, cols), coupling)`.

    Z = (2 sinh 2K)^(rows cols / 2) / 2 times the sum of four products over cosh and sinh of rows g_l / 2.

    Args:
        rows: >= 2 (two are joined twice).
        cols: >= 2.
        coupling: K in nats, > 0.

    Raises:
        ValueError: A side is < 2 or `coupling` is not > 0.

    Example:
        >>> round(ising_torus(4, 4, ISING_CRITICAL_COUPLING).log_z, 10)
        15.5219154588
    """
    checks.count("ising_torus", "rows", rows, least=2)
    checks.count("ising_torus", "cols", cols, least=2)
    checks.positive("ising_torus", "coupling", coupling)
    double = math.sinh(2.0 * coupling)
    g, slope = _kaufman_g(cols, coupling)
    half, half_slope = 0.5 * rows * g, 0.5 * rows * slope
    logs, slopes = [], []
    for parity in (1, 0):
        y, dy = half[parity::2], half_slope[parity::2]
        logs.append(np.sum(np.logaddexp(y, -y)))
        slopes.append(np.sum(dy * np.tanh(y)))
    # sinh: g_0 changes sign at K_c, where its factor is 0 with a slope, so it is kept out of the logarithm
    y, dy = half[1::2], half_slope[1::2]
    logs.append(np.sum(_log_two_sinh(y)))
    slopes.append(np.sum(dy / np.tanh(y)))
    y, dy = half[2::2], half_slope[2::2]
    rest, rest_slope = np.sum(_log_two_sinh(y)), np.sum(dy / np.tanh(y))
    # 2 sinh y_0 and its slope over exp |y_0|
    size = abs(half[0])
    factor = math.copysign(-math.expm1(-2.0 * size), half[0])
    factor_slope = half_slope[0] * (1.0 + math.exp(-2.0 * size))
    top = max(*logs, rest + size)
    weights = np.exp(np.array(logs) - top)
    last = math.exp(rest + size - top)
    total = np.sum(weights) + last * factor
    total_slope = weights @ np.array(slopes) + last * (factor_slope + factor * rest_slope)
    spins = rows * cols
    log_z = 0.5 * spins * math.log(2.0 * double) - math.log(2.0) + top + math.log(total)
    log_z_slope = spins / math.tanh(2.0 * coupling) + total_slope / total
    return IsingTorus(float(log_z), float(-coupling * log_z_slope / spins))


def ising_plane(coupling: float) -> IsingPlane:
    """Onsager's infinite square lattice without field, with Yang's spontaneous magnetisation.

    -beta f = log(2 sinh 2K) / 2 + (1 / 2 pi) int_0^pi acosh(cosh 2K coth 2K - cos q) dq.

    Args:
        coupling: K in nats, > 0.

    Raises:
        ValueError: `coupling` is not > 0.

    Example:
        >>> plane = ising_plane(ISING_CRITICAL_COUPLING)
        >>> round(plane.log_z, 10), round(plane.energy / ISING_CRITICAL_COUPLING, 10)
        (0.9296953983, -1.4142135624)
    """
    checks.positive("ising_plane", "coupling", coupling)
    double, wide = math.sinh(2.0 * coupling), math.cosh(2.0 * coupling)
    # acosh has its branch point at q = i gap, near 0 as K nears K_c; q = gap sinh t takes it away
    gap = min(1.0, max(1e-12, 2.0 * math.asinh(abs(double - 1.0) / math.sqrt(2.0 * double))))
    end = math.asinh(math.pi / gap)
    nodes, weights = np.polynomial.legendre.leggauss(NUM_NODES)
    t = 0.5 * end * (nodes + 1.0)
    q, stretch = gap * np.sinh(t), gap * np.cosh(t)
    excess = (double - 1.0) ** 2 / double + 2.0 * np.sin(0.5 * q) ** 2
    integral = 0.5 * end * np.sum(weights * stretch * _acosh_one_plus(excess))
    log_z = 0.5 * math.log(2.0 * double) + integral / (2.0 * math.pi)
    # 2 tanh^2 2K - 1, and 1 - k^2 = its part that vanishes at K_c, squared
    sided = (double * double - 1.0) / (wide * wide)
    elliptic = sided * float(ellipkm1(sided * sided)) if sided != 0.0 else 0.0
    energy = -coupling * wide / double * (1.0 + 2.0 / math.pi * elliptic)
    magnetisation = (-math.expm1(-4.0 * math.log(double))) ** 0.125 if double > 1.0 else 0.0
    return IsingPlane(float(log_z), energy, magnetisation)


def ising_density_of_states(rows: int = 4, cols: int = 4) -> dict[int, int]:
    """How many states of the torus have each energy -sum s s (in units of J), by enumeration.

    Args:
        rows: >= 2.
        cols: >= 2, with rows cols <= 20.

    Raises:
        ValueError: A side is < 2 or there are too many spins.

    Example:
        >>> ising_density_of_states(3, 3)[-18]
        2
    """
    checks.count("ising_density_of_states", "rows", rows, least=2)
    checks.count("ising_density_of_states", "cols", cols, least=2)
    few_units("ising_density_of_states", rows * cols)
    pairs = lattice_edges((rows, cols))
    counts: dict[int, int] = {}
    for spins in state_blocks(rows * cols):
        energies = -np.sum(spins[:, pairs[:, 0]] * spins[:, pairs[:, 1]], axis=1)
        for value, count in zip(*np.unique(energies, return_counts=True), strict=True):
            counts[int(value)] = counts.get(int(value), 0) + int(count)
    return dict(sorted(counts.items()))


def _transfer(owner: str, sites: int, coupling: float, field: float) -> tuple[float, float, float]:
    """Of the transfer matrix: log of the large eigenvalue, small over large, <s> in the leading vector."""
    checks.count(owner, "sites", sites, least=2)
    checks.finite(owner, "coupling", coupling)
    checks.finite(owner, "field", field)
    scale = max(coupling + abs(field), -coupling)
    up, down = math.exp(coupling + field - scale), math.exp(coupling - field - scale)
    cosh, sinh, flip = 0.5 * (up + down), 0.5 * (up - down), math.exp(-coupling - scale)
    root = math.hypot(sinh, flip)
    large = cosh + root
    # the small one from the determinant: cosh - root cancels
    ratio = (up * down - flip * flip) / (large * large)
    if ratio**sites <= -1.0:
        raise ValueError(f"{owner}.coupling must not be so negative on an odd ring that Z rounds to 0; got {coupling}.")
    return math.log(large) + scale, ratio, sinh / root


def _ring_correlation(sites: int, distance: int, ratio: float, tilt: float) -> float:
    wound = ratio**sites
    mixed = ratio**distance + ratio ** (sites - distance)
    return (tilt * tilt * (1.0 + wound) + (1.0 - tilt * tilt) * mixed) / (1.0 + wound)


def _kaufman_g(cols: int, coupling: float) -> tuple[np.ndarray, np.ndarray]:
    """g_l and dg_l/dK for l = 0..2 cols - 1, with cosh g_l = cosh 2K coth 2K - cos(pi l / cols)."""
    double, wide = math.sinh(2.0 * coupling), math.cosh(2.0 * coupling)
    l = np.arange(1, 2 * cols)
    excess = (double - 1.0) ** 2 / double + 2.0 * np.sin(0.5 * math.pi * l / cols) ** 2
    g = _acosh_one_plus(excess)
    slope = 2.0 * wide * (1.0 - 1.0 / double**2) / np.sqrt(excess * (2.0 + excess))
    first = 2.0 * coupling + math.log(math.tanh(coupling))
    return np.append(first, g), np.append(2.0 + 2.0 / double, slope)


def _acosh_one_plus(excess: np.ndarray) -> np.ndarray:
    return np.log1p(excess + np.sqrt(excess * (2.0 + excess)))


def _log_two_sinh(y: np.ndarray) -> np.ndarray:
    return y + np.log(-np.expm1(-2.0 * y))
