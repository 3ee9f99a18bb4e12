"""A model of statistical physics at a row of temperatures, its observables beside what is known exactly.

Source: Newman and Barkema (1999), Monte Carlo methods in statistical physics, chapters 3 and 4; the exact answers are
    those of `energies.ising_exact` (Kaufman 1949, Onsager 1944, Yang 1952).
Estimates every observable of `spin_observables` at each temperature from independent chains, all temperatures in one
compiled run. Energies are in units of J and per site, specific heats in units of k and per site.
Cost: chains x temperatures x (burn-in + sweeps) sweeps. Fails near a critical point where sweeps are fewer than some
ten autocorrelation times, which grow as side^2.2 for local updates: such rows are marked as not reliable.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from energax.core import Key, checks
from energax.energies import ising_plane, ising_torus, ising_torus_magnetisation
from energax.samplers import multispin

from .jackknife import Observable
from .spins import spin_observables

MOST_SIDE = 8
"""Side up to which the exact |m| of the finite torus is asked for."""


class Exact(NamedTuple):
    """What is known of one observable."""

    value: float
    """In the observable's units."""
    of: str
    """"this lattice", which estimates must meet, or "the infinite lattice", which they approach."""


class Curve(NamedTuple):
    """An exact curve to draw beside the estimates."""

    name: str
    """Of the observable."""
    of: str
    """Whose it is, as in `Exact`."""
    betas: np.ndarray
    values: np.ndarray


class SweepRow(NamedTuple):
    """One temperature."""

    beta: float
    """Inverse temperature in units of 1 / J."""
    observables: dict[str, Observable]
    """By name, energies in units of J."""
    exact: dict[str, Exact]
    """Of some of them."""

    def deviations(self) -> dict[str, float]:
        """Standard errors between estimate and exact value, where that is of this lattice."""
        return {
            name: float((self.observables[name].value - known.value) / self.observables[name].std_error)
            for name, known in self.exact.items()
            if known.of == "this lattice" and math.isfinite(self.observables[name].std_error)
        }


def ising_sweep(
    key: Key,
    size: int,
    betas: Sequence[float] | np.ndarray,
    *,
    chains: int = 32,
    sweeps: int = 4000,
    burn_in: int = 1000,
    thin: int = 5,
) -> list[SweepRow]:
    """The Ising model of a square torus by multi-spin coded heat bath, started from all spins up.

    Args:
        key: One typed key; it is used up.
        size: Side, even, up to 64 or a multiple of 64.
        betas: Inverse temperatures in units of 1 / J, > 0.
        chains: Independent lattices a temperature, >= 2.
        sweeps: Sweeps that are measured, a multiple of `thin`.
        burn_in: Sweeps before, >= 0.
        thin: Sweeps a measurement, >= 1.

    Returns:
        One row a temperature, in the order given. Exact: energy and specific heat of this torus by Kaufman's formula;
        |m| of this torus up to side 8 and of the infinite lattice (Yang) beyond.

    Raises:
        ValueError: An argument is out of its range.

    Example:
        >>> import jax
        >>> row = ising_sweep(jax.random.key(0), 8, [0.3], chains=8, sweeps=400, burn_in=100)[0]
        >>> abs(row.deviations()["energy"]) < 4
        True
    """
    couplings = _betas("ising_sweep", betas)
    checks.count("ising_sweep", "chains", chains, least=2)
    run = multispin(
        key, (size, size), np.repeat(couplings, chains), num_sweeps=sweeps, burn_in=burn_in, thin=thin,
        num_lattices=chains * len(couplings), x=np.ones((chains * len(couplings), size * size), np.float32),
    )  # fmt: skip
    sites = size * size
    energy = np.asarray(run.energy, np.float64).reshape(len(couplings), chains, -1)
    spin = np.asarray(run.magnetisation, np.float64).reshape(energy.shape) / sites
    rows = []
    for beta, e, m in zip(couplings, energy, spin, strict=True):
        found = spin_observables(m, e, sites)
        found["energy"] = _scaled(found["energy"], 1.0 / beta)
        rows.append(SweepRow(float(beta), found, _ising_exact(size, float(beta))))
    return rows


def _ising_exact(size: int, beta: float) -> dict[str, Exact]:
    known = _ising_formulas(size, beta)
    if size <= MOST_SIDE:  # by transfer matrix, half a second
        finite = ising_torus_magnetisation(size, size, beta)
        known["abs_magnetisation"] = Exact(finite.absolute, "this lattice")
        known["binder"] = Exact(finite.binder, "this lattice")
    return known


def _ising_formulas(size: int, beta: float) -> dict[str, Exact]:
    torus = ising_torus(size, size, beta)
    return {
        "energy": Exact(torus.energy / beta, "this lattice"),
        "specific_heat": Exact(torus.specific_heat, "this lattice"),
        "abs_magnetisation": Exact(ising_plane(beta).magnetisation, "the infinite lattice"),
    }


def ising_curves(size: int, low: float, high: float, num: int = 200) -> list[Curve]:
    """Exact curves of the square torus between two inverse temperatures: energy, specific heat, and Yang's |m|.

    Args:
        size: Side, >= 2.
        low: Lowest inverse temperature in units of 1 / J, > 0.
        high: Highest.
        num: Points of each curve, >= 2.
    """
    betas = np.linspace(low, high, num)
    rows = [_ising_formulas(size, float(beta)) for beta in betas]
    return [Curve(name, rows[0][name].of, betas, np.array([row[name].value for row in rows])) for name in rows[0]]


def _scaled(found: Observable, factor: float) -> Observable:
    return found._replace(value=factor * found.value, std_error=factor * found.std_error)


def _betas(owner: str, betas: Sequence[float] | np.ndarray) -> np.ndarray:
    checks.positive(owner, "betas", np.asarray(betas))
    array = np.asarray(betas, np.float64)
    if array.ndim != 1:
        raise ValueError(f"{owner}.betas must be a row of inverse temperatures; got shape {array.shape}.")
    return array
