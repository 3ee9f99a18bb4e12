"""Exact answers of the uniform Ising model: ring, finite torus, infinite square lattice, density of states.

Source: Kramers and Wannier (1941), doi:10.1103/PhysRev.60.252 (ring, transfer matrix); Kaufman (1949),
doi:10.1103/PhysRev.76.1232, with g_0 = 2K + ln tanh K, sign kept (torus); Onsager (1944),
doi:10.1103/PhysRev.65.117 (plane); Yang (1952), doi:10.1103/PhysRev.85.808 (magnetisation); Binder (1981),
doi:10.1007/BF01293604 (the cumulant).
Differs: sums and products are taken in logs; cosh g - 1 and 1 - k^2 are written without the cancellation at K_c.

All in double precision in NumPy, outside jit. Couplings K and fields H in nats, as in `Ising`; energies are the mean of
`Ising(...)(x)` per spin, in nats (divide by K for units of J). Cost: O(1) for ring and plane, O(rows + cols) for the
torus, 2^(rows cols) for the density of states, 8^cols rows^2 for the law of the magnetisation. Where it fails: a field
in two dimensions is not solved; torus and plane want K > 0 (K < 0 on an even torus has the log Z of |K|); on an odd
ring with strongly negative K (frustrated) 1 + q^N loses digits, about log10(exp(2 |K|) / N) of the 16.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
from scipy.special import ellipkm1

from energax.core import checks

from .enumeration import few_units, state_blocks
from .ising import lattice_edges
from .transfer import counts_by_transfer

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
    specific_heat: float
    """Variance of the energy per spin, in units of k."""


class IsingMagnetisation(NamedTuple):
    """The law of the mean spin m of a finite torus, and its moments."""

    values: np.ndarray
    """What m can be, ascending from -1 to 1."""
    probabilities: np.ndarray
    """How likely each is."""
    mean: float
    """<m>."""
    absolute: float
    """<|m|>."""
    squared: float
    """<m^2>."""
    binder: float
    """1 - <m^4> / (3 <m^2>^2)."""


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
    checks.positive("ising_torus", "coupling", coupling, ndim=0)
    double, wide = math.sinh(2.0 * coupling), math.cosh(2.0 * coupling)
    half = 0.5 * rows * _kaufman_g(cols, coupling)
    # of log prod 2 cosh y (odd l, even l) and of log prod 2 sinh y (odd l): value, slope and curvature in K
    products = [_log_cosh(half[:, 1::2]), _log_cosh(half[:, 0::2]), _log_sinh(half[:, 1::2])]
    # sinh: g_0 changes sign at K_c, where its factor is 0 with a slope, so it is kept out of the logarithm
    rest = _log_sinh(half[:, 2::2])
    # 2 sinh y_0 and its derivatives over exp |y_0|
    y, dy, ddy = half[:, 0]
    size = abs(y)
    sinh, cosh = math.copysign(-math.expm1(-2.0 * size), y), 1.0 + math.exp(-2.0 * size)
    factor, factor_slope, factor_curve = sinh, cosh * dy, sinh * dy * dy + cosh * ddy
    logs, slopes, curves = np.array(products).T
    top = max(*logs, rest[0] + size)
    weights, last = np.exp(logs - top), math.exp(rest[0] + size - top)
    total = np.sum(weights) + last * factor
    mean = (weights @ slopes + last * (factor_slope + factor * rest[1])) / total
    # second derivative of log Z about its own slope, so that it is not a difference of large squares
    off = rest[1] - mean
    curve = weights @ (curves + (slopes - mean) ** 2)
    curve += last * (factor_curve + 2.0 * factor_slope * off + factor * (rest[2] + off * off))
    spins = rows * cols
    log_z = 0.5 * spins * math.log(2.0 * double) - math.log(2.0) + top + math.log(total)
    energy = -coupling * (wide / double + mean / spins)
    specific_heat = coupling**2 * (curve / total / spins - 2.0 / double**2)
    return IsingTorus(float(log_z), float(energy), float(specific_heat))


def ising_torus_magnetisation(rows: int, cols: int, coupling: float, field: float = 0.0) -> IsingMagnetisation:
    """The law of the mean spin on a small torus: the model of `Ising.lattice((rows, cols), coupling, field)`.

    Args:
        rows: >= 2 (two are joined twice).
        cols: 2 to 8: the shorter side.
        coupling: K in nats, of any sign.
        field: H in nats.

    Raises:
        ValueError: A side is out of range or a parameter is not finite.

    Example:
        >>> found = ising_torus_magnetisation(4, 4, ISING_CRITICAL_COUPLING)
        >>> round(found.absolute, 10), round(found.binder, 10)
        (0.8438604448, 0.6171993184)
    """
    checks.finite("ising_torus_magnetisation", "field", field, ndim=0)
    # as a Potts model of two states: [equal] = (1 + s s') / 2
    logs = counts_by_transfer("ising_torus_magnetisation", rows, cols, 2, 2.0 * coupling)
    total = 2.0 * np.arange(rows * cols + 1) - rows * cols
    logs = logs + field * total
    p, m = np.exp(logs - np.logaddexp.reduce(logs)), total / (rows * cols)
    squared = float(p @ m**2)
    binder = 1.0 - float(p @ m**4) / (3.0 * squared**2)
    return IsingMagnetisation(m, p, float(p @ m), float(p @ np.abs(m)), squared, binder)


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
    checks.positive("ising_plane", "coupling", coupling, ndim=0)
    double, wide = math.sinh(2.0 * coupling), math.cosh(2.0 * coupling)
    # acosh has its branch point at q = i gap, near 0 as K nears K_c; q = gap sinh t takes it away
    gap = min(1.0, max(1e-12, 2.0 * math.asinh(abs(double - 1.0) / math.sqrt(2.0 * double))))
    end = math.asinh(math.pi / gap)
    nodes, weights = _legendre(NUM_NODES)
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


@functools.cache
def _legendre(num: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [-1, 1], an eigenvalue problem: solved once."""
    return np.polynomial.legendre.leggauss(num)


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
    checks.finite(owner, "coupling", coupling, ndim=0)
    checks.finite(owner, "field", field, ndim=0)
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


def _kaufman_g(cols: int, coupling: float) -> np.ndarray:
    """g_l, dg_l/dK and d2g_l/dK2 for l = 0..2 cols - 1, with cosh g_l = cosh 2K coth 2K - cos(pi l / cols)."""
    double, wide = math.sinh(2.0 * coupling), math.cosh(2.0 * coupling)
    l = np.arange(1, 2 * cols)
    excess = (double - 1.0) ** 2 / double + 2.0 * np.sin(0.5 * math.pi * l / cols) ** 2
    sinh = np.sqrt(excess * (2.0 + excess))
    slope = 2.0 * wide * (1.0 - 1.0 / double**2) / sinh
    curve = (4.0 * double - 4.0 / double + 8.0 * wide**2 / double**3 - slope**2 * (1.0 + excess)) / sinh
    first = (2.0 * coupling + math.log(math.tanh(coupling)), 2.0 + 2.0 / double, -4.0 * wide / double**2)
    return np.column_stack([first, (_acosh_one_plus(excess), slope, curve)])


def _log_cosh(y: np.ndarray) -> tuple[float, float, float]:
    """sum log 2 cosh y of rows y, dy, ddy: value, slope, curvature."""
    tanh = np.tanh(y[0])
    value = np.sum(np.logaddexp(y[0], -y[0]))
    return value, np.sum(y[1] * tanh), np.sum(y[2] * tanh + y[1] ** 2 * (1.0 - tanh) * (1.0 + tanh))


def _log_sinh(y: np.ndarray) -> tuple[float, float, float]:
    """sum log 2 sinh y of rows y > 0, dy, ddy: value, slope, curvature."""
    tanh = np.tanh(y[0])
    value = np.sum(y[0] + np.log(-np.expm1(-2.0 * y[0])))
    return value, np.sum(y[1] / tanh), np.sum(y[2] / tanh - y[1] ** 2 * (1.0 - tanh) * (1.0 + tanh) / tanh**2)


def _acosh_one_plus(excess: np.ndarray) -> np.ndarray:
    return np.log1p(excess + np.sqrt(excess * (2.0 + excess)))
