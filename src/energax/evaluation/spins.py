"""Observables of lattice models from draws of chains, with error bars that know autocorrelation.

Source: Newman and Barkema (1999), Monte Carlo methods in statistical physics, chapter 3; Binder (1981),
doi:10.1007/BF01293604 (the cumulant); Binder and Young (1986), Spin glasses, doi:10.1103/RevModPhys.58.801 (overlaps);
Wu (1982), The Potts model, doi:10.1103/RevModPhys.54.235 (its order parameter).
Differs: energies are in nats, so that the specific heat is the variance of the energy per site (in units of k) and the
susceptibility is d<m>/dH for a field H in nats (times beta in units of a field times a spin).
Estimates each with the jackknife of `observe`: value, standard error, autocorrelation time, blocks, a flag. All take
numbers of each draw [chains, draws], which a long run can keep instead of its states.
Cost: sites operations a draw, sites x side for correlations. Fails: below the critical temperature <m> and its
susceptibility need chains that cross between the signs; their |m| forms do not.
"""

from typing import NamedTuple

import numpy as np

from energax.core import checks

from .jackknife import Observable, observe


class Correlation(NamedTuple):
    """A correlation function with its error bars."""

    distances: np.ndarray
    """In sites."""
    values: np.ndarray
    """Mean of the product of two sites at that distance, less the product of means if connected."""
    std_errors: np.ndarray
    """Of each; neighbouring distances are correlated."""
    observables: tuple[Observable, ...]
    """The whole record of each."""


def magnetisation(x: np.ndarray) -> np.ndarray:
    """The mean spin of every draw: [chains, draws, ...] -> [chains, draws].

    Example:
        >>> magnetisation(np.array([[[1.0, -1.0], [1.0, 1.0]]])).tolist()
        [[0.0, 1.0]]
    """
    array = _draws("magnetisation", x, 3)
    return array.reshape(*array.shape[:2], -1).mean(axis=2)


def spin_observables(mean_spin: np.ndarray, energy: np.ndarray | None, sites: int) -> dict[str, Observable]:
    """What is measured of a model of spins, from two numbers a draw.

    magnetisation <m>, abs_magnetisation <|m|>, squared_magnetisation <m^2>, susceptibility N (<m^2> - <m>^2),
    abs_susceptibility N (<m^2> - <|m|>^2), binder 1 - <m^4> / (3 <m^2>^2); with an energy also energy (per site, nats)
    and specific_heat (per site, in units of k).

    Args:
        mean_spin: m of every draw, [chains, draws], as `magnetisation` gives it.
        energy: E of every draw in nats, of the whole system, [chains, draws]; None if it was not kept.
        sites: N.

    Raises:
        ValueError: Shapes do not fit, fewer than 4 draws, or a number is not finite.

    Example:
        >>> x = np.random.default_rng(0).choice([-1.0, 1.0], size=(8, 500, 25))
        >>> found = spin_observables(magnetisation(x), None, 25)
        >>> abs(found["susceptibility"].value - 1.0) < 4 * found["susceptibility"].std_error  # free spins
        True
    """
    checks.count("spin_observables", "sites", sites)
    m = _draws("spin_observables", mean_spin, 2)
    found = {
        "magnetisation": observe(m),
        **_order("magnetisation", m, sites, absolute=True),
        "susceptibility": observe(np.stack([m, m**2], 2), lambda a: sites * (a[..., 1] - a[..., 0] ** 2)),
    }
    return found | _energy("spin_observables", energy, m.shape, sites)


def potts_observables(shares: np.ndarray, energy: np.ndarray | None, sites: int) -> dict[str, Observable]:
    """What is measured of a Potts model, from the share of every state in every draw.

    order_parameter <m> with m = (q max_s n_s - 1) / (q - 1), squared_order_parameter <m^2>, order_susceptibility
    N (<m^2> - <m>^2), order_binder 1 - <m^4> / (3 <m^2>^2), alignment <(q sum_s n_s^2 - 1) / (q - 1)>; with an energy
    also energy (per site, nats) and specific_heat (per site, in units of k).

    Args:
        shares: n_s of every draw, [chains, draws, states]: the mean over the sites of one-hot samples.
        energy: E of every draw in nats, of the whole system, [chains, draws]; None if it was not kept.
        sites: N.

    Raises:
        ValueError: Shapes do not fit, shares do not sum to 1, fewer than 4 draws, or a number is not finite.

    Example:
        >>> shares = np.random.default_rng(0).multinomial(30, [1 / 3] * 3, size=(4, 200)) / 30
        >>> found = potts_observables(shares, None, 30)
        >>> 0.0 < found["order_parameter"].value < 0.5
        True
    """
    checks.count("potts_observables", "sites", sites)
    n = _draws("potts_observables", shares, 3)
    states = n.shape[2]
    if n.ndim != 3 or states < 2 or np.abs(n.sum(axis=2) - 1.0).max() > 1e-5:
        raise ValueError("potts_observables.shares must be [chains, draws, states] and sum to 1 over >= 2 states.")
    m = (states * n.max(axis=2) - 1.0) / (states - 1)
    found = _order("order", m, sites, absolute=False)
    found["alignment"] = observe((states * np.sum(n**2, axis=2) - 1.0) / (states - 1))
    return found | _energy("potts_observables", energy, m.shape, sites)


def overlap_observables(a: np.ndarray, b: np.ndarray) -> dict[str, Observable]:
    """The overlap q = (1/N) a . b of two replicas: independent chains of one spin glass.

    overlap <q>, abs_overlap <|q|>, squared_overlap <q^2>, glass_susceptibility N <q^2>, overlap_binder
    1 - <q^4> / (3 <q^2>^2).

    Args:
        a: Spins, [chains, draws, sites].
        b: Spins of other chains in the same disorder, of the same shape.

    Raises:
        ValueError: Shapes do not fit, fewer than 4 draws, or a number is not finite.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> a, b = rng.choice([-1.0, 1.0], size=(2, 4, 200, 16))
        >>> found = overlap_observables(a, b)["glass_susceptibility"]
        >>> abs(found.value - 1.0) < 4 * found.std_error  # free spins
        True
    """
    left, right = _draws("overlap_observables", a, 3), _draws("overlap_observables", b, 3)
    if left.shape != right.shape or left.ndim != 3:
        raise ValueError(f"overlap_observables: a and b must be alike, of rank 3; got {left.shape} and {right.shape}.")
    sites = left.shape[2]
    q = np.mean(left * right, axis=2)
    squared = observe(q**2)
    return {
        "overlap": observe(q),
        "abs_overlap": observe(np.abs(q)),
        "squared_overlap": squared,
        "glass_susceptibility": squared._replace(value=sites * squared.value, std_error=sites * squared.std_error),
        "overlap_binder": _binder(q),
    }


def correlation_function(
    x: np.ndarray, shape: tuple[int, ...], *, axis: int | None = None, connected: bool = False, periodic: bool = True
) -> Correlation:
    """<x_i x_{i + r}> along an axis of a lattice, averaged over i (and over the axes), for r = 1, 2, ...

    Args:
        x: Numbers on the sites, [chains, draws, sites], the last axis of the lattice fastest.
        shape: Of the lattice; its product is the number of sites.
        axis: Of the lattice; None averages over all of them, up to the shortest.
        connected: Whether the square of the mean over all sites and draws is taken off.
        periodic: Whether the ends are joined; distances then go to half the side, and to the side less one otherwise.

    Raises:
        ValueError: Shapes do not fit, fewer than 4 draws, or a number is not finite.

    Example:
        >>> x = np.tile(np.array([1.0, -1.0]), (2, 6, 4)) * np.array([1.0, -1.0, 1.0])[[0, 1, 2, 0, 1, 2], None]
        >>> correlation_function(x, (8,)).values.tolist()
        [-1.0, 1.0, -1.0, 1.0]
    """
    array = _draws("correlation_function", x, 3)
    if array.ndim != 3 or array.shape[2] != int(np.prod(shape)) or min(shape, default=0) < 2:
        raise ValueError(
            f"correlation_function.shape must hold {array.shape[2:]} sites along sides >= 2; got {tuple(shape)}."
        )
    if axis is not None and not 0 <= axis < len(shape):
        raise ValueError(f"correlation_function.axis must be None or 0 to {len(shape) - 1}; got {axis}.")
    axes = range(len(shape)) if axis is None else (axis,)
    side = min(shape[a] for a in axes)
    reach = side // 2 if periodic else side - 1
    lattice = array.reshape(*array.shape[:2], *shape)
    series = np.mean([_products(lattice, 2 + a, reach, periodic) for a in axes], axis=0)
    mean = array.mean(axis=2)
    found = tuple(
        observe(np.stack([series[..., r], mean], 2), lambda a: a[..., 0] - a[..., 1] ** 2)
        if connected
        else observe(series[..., r])
        for r in range(reach)
    )
    values, errors = np.array([o.value for o in found]), np.array([o.std_error for o in found])
    return Correlation(np.arange(1, reach + 1), values, errors, found)


def _order(name: str, m: np.ndarray, sites: int, *, absolute: bool) -> dict[str, Observable]:
    """Moments of |m|, or of an order parameter that is never negative, under its names."""
    size = np.abs(m)
    first = f"abs_{name}" if absolute else f"{name}_parameter"
    susceptibility = observe(np.stack([size, m**2], 2), lambda a: sites * (a[..., 1] - a[..., 0] ** 2))
    return {
        first: observe(size),
        f"squared_{name}" if absolute else f"squared_{name}_parameter": observe(m**2),
        "abs_susceptibility" if absolute else f"{name}_susceptibility": susceptibility,
        "binder" if absolute else f"{name}_binder": _binder(m),
    }


def _binder(m: np.ndarray) -> Observable:
    return observe(np.stack([m**2, m**4], 2), lambda a: 1.0 - a[..., 1] / (3.0 * a[..., 0] ** 2))


def _energy(owner: str, energy: np.ndarray | None, shape: tuple[int, ...], sites: int) -> dict[str, Observable]:
    if energy is None:
        return {}
    e = _draws(owner, energy, 2)
    if e.shape != shape:
        raise ValueError(f"{owner}.energy must have shape {shape}; got shape {e.shape}.")
    # about a fixed value, so that the square loses no digits
    shifted = e - e.mean()
    heat = observe(np.stack([shifted, shifted**2], 2), lambda a: (a[..., 1] - a[..., 0] ** 2) / sites)
    return {"energy": observe(e / sites), "specific_heat": heat}


def _products(lattice: np.ndarray, axis: int, reach: int, periodic: bool) -> np.ndarray:
    """The mean over a lattice of x_i x_{i + r} for r = 1..reach, [chains, draws, distances]."""
    side = lattice.shape[axis]
    found = []
    for r in range(1, reach + 1):
        here, there = lattice, np.roll(lattice, -r, axis)
        if not periodic:
            here, there = (np.take(sites, range(side - r), axis) for sites in (here, there))
        found.append(np.mean(here * there, axis=tuple(range(2, lattice.ndim))))
    return np.stack(found, axis=2)


def _draws(owner: str, x: np.ndarray, least: int) -> np.ndarray:
    checks.samples(owner, "draws", x)
    array = np.asarray(x, np.float64)
    if array.ndim < least:
        raise ValueError(f"{owner}: draws must have >= {least} axes, chains and draws first; got shape {array.shape}.")
    return array
