"""log Z and averages of any energy of one or two numbers, by Gauss-Legendre quadrature in double precision.

Source: Davis and Rabinowitz (1984), Methods of numerical integration, 2nd edition, chapter 2 (compound rules):
panels of 25 Gauss-Legendre nodes on every axis of a box.
What differs: the rule is run twice, the second time with twice the panels, and the change is reported.
Exact to rounding for a smooth energy once a panel is a few of its narrowest widths; an `observe` that jumps inside the
box (an indicator) is good to the square root of the node's weight only: put the jump on a side of the box.
Cost: points^axes energies, and a quarter (half) of that for the change. Where it fails: mass outside the box is not
seen, nor is structure narrower than a node's distance; the change tells the second, nothing tells the first.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from energax.core import checks

from .enumeration import concrete

PANEL = 25
BLOCK = 1 << 16


class Quadrature(NamedTuple):
    """Averages over a box under exp(-E)."""

    log_z: float
    """log of the integral of exp(-E) over the box, in nats."""
    change: float
    """How far `log_z` moved when the panels were halved: the error is smaller."""
    energy: float
    """Mean energy in nats."""
    mean: np.ndarray
    """Mean of x [axes]."""
    covariance: np.ndarray
    """Covariance of x [axes, axes]."""
    observed: np.ndarray | None
    """Mean of `observe`, None where nothing was asked."""


def quadrature_exact(
    energy: Callable[[Any], Any],
    box: Sequence[tuple[float, float]],
    points: int = 400,
    observe: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Quadrature:
    """log Z and averages of an energy of x [1] or x [2] over a box.

    The floating parameters are widened to double precision; constants that a plain function closes over are not.

    Args:
        energy: Any energy of one sample.
        box: (low, high) of each axis, in the units of x; one or two axes.
        points: Nodes on every axis, >= 50, rounded up to a multiple of 50.
        observe: Maps points [rows, axes] to numbers [rows, ...] whose means are wanted.

    Raises:
        ValueError: The box is none, the energy does not return one number or is nowhere finite, or called under jit.

    Example:
        >>> from energax.energies import Banana
        >>> found = quadrature_exact(Banana(2, 1.0, 0.5), ((-9.0, 9.0), (-12.0, 45.0)))
        >>> round(found.log_z, 6), bool(found.change < 1e-8), found.covariance.diagonal().round(6).tolist()
        (1.837877, True, [1.0, 1.5])
    """
    checks.count("quadrature_exact", "points", points, least=50)
    _box(box)
    concrete("quadrature_exact", *jax.tree.leaves(eqx.filter(energy, eqx.is_array)))
    panels = 2 * -(-points // (2 * PANEL))
    coarse, weights = _rule(box, panels // 2)
    rough = float(np.logaddexp.reduce(np.log(weights) - _energies(energy, coarse)))
    x, weights = _rule(box, panels)
    values = _energies(energy, x)
    logs = np.log(weights) - values
    log_z = float(np.logaddexp.reduce(logs))
    if not np.isfinite(log_z):
        raise ValueError(f"quadrature_exact.energy must be finite somewhere in the box; got a log Z of {log_z}.")
    p = np.exp(logs - log_z)
    inside = p > 0  # where E is +inf its product with p = 0 is no number
    mean = p @ x
    covariance = (x - mean).T @ ((x - mean) * p[:, None])
    observed = None if observe is None else np.tensordot(p, np.asarray(observe(x), np.float64), 1)
    energy_mean = float(p[inside] @ values[inside])
    return Quadrature(log_z, abs(log_z - rough), energy_mean, mean, covariance, observed)


def gauss_legendre(low: float, high: float, panels: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of `panels` equal panels of 25 nodes on [low, high].

    Example:
        >>> x, w = gauss_legendre(0.0, 2.0, 2)
        >>> round(float(w @ x**3), 12)
        4.0
    """
    nodes, weights = np.polynomial.legendre.leggauss(PANEL)
    edges = np.linspace(low, high, panels + 1)
    half = 0.5 * np.diff(edges)[:, None]
    return (edges[:-1, None] + half * (1.0 + nodes)).reshape(-1), (half * weights).reshape(-1)


def _rule(box: Sequence[tuple[float, float]], panels: int) -> tuple[np.ndarray, np.ndarray]:
    axes = [gauss_legendre(low, high, panels) for low, high in box]
    grids = np.meshgrid(*(x for x, _ in axes), indexing="ij")
    weights = axes[0][1] if len(axes) == 1 else np.outer(axes[0][1], axes[1][1])
    return np.stack(grids, axis=-1).reshape(-1, len(axes)), weights.reshape(-1)


def _energies(energy: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    with jax.enable_x64(True):
        arrays, rest = eqx.partition(energy, eqx.is_inexact_array)
        double = eqx.combine(jax.tree.map(lambda a: jnp.asarray(np.asarray(a, np.float64)), arrays), rest)
        every = eqx.filter_jit(jax.vmap(lambda e, x: e(x), in_axes=(None, 0)))
        found = [np.asarray(every(double, jnp.asarray(x[i : i + BLOCK]))) for i in range(0, len(x), BLOCK)]
    checks.scalar_energy("quadrature_exact", found[0].shape[1:])
    return np.concatenate(found)


def _box(box: Sequence[tuple[float, float]]) -> None:
    ends = np.asarray(box, np.float64)
    if ends.shape not in ((1, 2), (2, 2)) or not np.all(np.isfinite(ends)) or np.any(ends[:, 0] >= ends[:, 1]):
        raise ValueError(f"quadrature_exact.box must be one or two pairs (low, high) with low < high; got {box}.")
