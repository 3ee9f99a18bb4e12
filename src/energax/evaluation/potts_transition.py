"""The Potts model of a square torus through its transition, beside what is known exactly.

Source: Wu (1982), The Potts model, doi:10.1103/RevModPhys.54.235 (order parameter, critical coupling and the energy
    there, by duality); Swendsen and Wang (1987), doi:10.1103/PhysRevLett.58.86 (the moves).
Estimates every observable of `potts_observables` at each temperature from independent chains, half of which start in
one state and half at random. Energies are in units of J and per site, specific heats in units of k and per site.
Exact: with two states all that is known of Ising's torus (K = 2 K_Ising); where states^size <= 1024 the torus by its
transfer matrix (energy, specific heat; alignment where states^size <= 256); else the energy of the infinite lattice at
the critical coupling log(1 + sqrt states), and nothing of this lattice.
Cost: chains x temperatures x (burn-in + sweeps) steps. Fails above four states on large lattices at the critical
coupling: the two phases coexist and no move here crosses between them; starts of both kinds then disagree, and the
rows are marked as not reliable.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from energax.core import AbstractSampler, Key, checks
from energax.energies import (
    Potts,
    ising_torus,
    ising_torus_magnetisation,
    lattice_edges,
    potts_critical_coupling,
    potts_critical_energy,
    potts_torus,
    potts_torus_occupation,
)
from energax.samplers import CATEGORIES, CheckerboardGibbs, SwendsenWang, Wolff, colouring

from .spins import potts_observables
from .temperature_sweep import Curve, Exact, SweepRow, chain_sweep, check_plan, in_units, inverse_temperatures

MOST_ROWS = 1024
"""Rows of the transfer matrix, states^size, up to which the torus is asked for."""
MOST_OCCUPIED = 256
"""The same for the law of one state's share."""
MOST_SIDE = 8
"""With two states: side up to which the law of the magnetisation is asked for."""
MOVES = ("cluster", "local", "wolff")


def potts_sweep(
    key: Key,
    size: int,
    states: int,
    betas: Sequence[float] | np.ndarray,
    *,
    move: str = "cluster",
    chains: int = 16,
    sweeps: int = 500,
    burn_in: int = 100,
    thin: int = 1,
) -> list[SweepRow]:
    """The Potts model of a square torus at a row of temperatures.

    Args:
        key: One typed key; it is used up.
        size: Side, >= 2 (two are joined twice).
        states: q, >= 2.
        betas: Inverse temperatures in units of 1 / J, > 0.
        move: "cluster": Swendsen-Wang; "local": heat bath by colours; "wolff": one cluster a step.
        chains: Independent lattices a temperature, >= 2.
        sweeps: Sweeps (steps of the kernel) that are measured, a multiple of `thin`, >= 4 `thin`.
        burn_in: Sweeps before, >= 0.
        thin: Sweeps a measurement, >= 1.

    Returns:
        One row a temperature, in the order given, with what is exact of this lattice.

    Raises:
        ValueError: An argument is out of its range.

    Example:
        >>> row = potts_sweep(jax.random.key(0), 4, 3, [0.9], chains=8, sweeps=200)[0]
        >>> sorted(row.exact), abs(row.deviations()["energy"]) < 4
        (['alignment', 'energy', 'specific_heat'], True)
    """
    couplings = inverse_temperatures("potts_sweep", betas)
    checks.count("potts_sweep", "size", size, least=2)
    checks.count("potts_sweep", "states", states, least=2)
    check_plan("potts_sweep", chains, sweeps, burn_in, thin)
    checks.typed_key("potts_sweep", key)
    if move not in MOVES:
        raise ValueError(f"potts_sweep.move must be one of {', '.join(MOVES)}; got {move!r}.")
    start, walk = jax.random.split(key)
    energy = Potts.lattice((size, size), states, 1.0)
    codes = jax.random.randint(start, (chains, size * size), 0, states).at[::2].set(0)
    found = chain_sweep(
        walk, _kernel(move, size), energy, couplings, jax.nn.one_hot(codes, states, dtype=energy.fields.dtype), _shares,
        sweeps=sweeps, burn_in=burn_in, thin=thin,
    )  # fmt: skip
    rows = []
    for beta, draws in zip(couplings, found, strict=True):
        seen = potts_observables(draws.statistic, beta * draws.energy, size * size)
        seen = in_units(seen, float(beta), sound=not draws.divergent)
        rows.append(SweepRow(float(beta), seen, _exact(size, states, float(beta))))
    return rows


def potts_curves(size: int, states: int, low: float, high: float, num: int | None = None) -> list[Curve]:
    """Exact curves between two inverse temperatures, and the energy of the infinite lattice at the critical one.

    Args:
        size: Side, >= 2.
        states: q, >= 2.
        low: Lowest inverse temperature in units of 1 / J, > 0.
        high: Highest.
        num: Points of each curve, >= 2; None for as many as some seconds give.

    Returns:
        Curves of energy and specific heat where this lattice is known; one point, the energy at the critical coupling,
        where that lies between `low` and `high` (above four states the mean of the two phases).

    Example:
        >>> [(curve.name, len(curve.betas)) for curve in potts_curves(3, 3, 0.9, 1.1, num=5)]
        [('energy', 5), ('specific_heat', 5), ('energy', 1)]
    """
    found = []
    if states == 2 or states**size <= MOST_ROWS:
        quick = 200 if states == 2 else 40 if states**size <= MOST_OCCUPIED else 14
        betas = np.linspace(low, high, num or quick)
        rows = [_energies(size, states, float(beta)) for beta in betas]
        found = [Curve(name, "this lattice", betas, np.array([row[name] for row in rows])) for name in rows[0]]
    critical = potts_critical_coupling(states)
    if low <= critical <= high:
        point = np.array([potts_critical_energy(states) / critical])
        found.append(Curve("energy", "the infinite lattice", np.array([critical]), point))
    return found


def _kernel(move: str, size: int) -> AbstractSampler:
    if move == "local":
        return CheckerboardGibbs(CATEGORIES, colouring(lattice_edges((size, size)), size * size))
    return SwendsenWang() if move == "cluster" else Wolff()


def _shares(x: Array) -> Array:
    """The share of the sites in every state."""
    return jnp.mean(x, axis=0)


def _exact(size: int, states: int, beta: float) -> dict[str, Exact]:
    known = _energies(size, states, beta) if states == 2 or states**size <= MOST_ROWS else {}
    if states == 2 and size <= MOST_SIDE:  # the order parameter is |m|
        finite = ising_torus_magnetisation(size, size, 0.5 * beta)
        known |= {"order_parameter": finite.absolute, "order_binder": finite.binder, "alignment": finite.squared}
    elif states > 2 and states**size <= MOST_OCCUPIED:
        law = potts_torus_occupation(size, size, states, beta)
        share = np.arange(len(law)) / (size * size)
        known["alignment"] = float((states * states * (law @ share**2) - 1.0) / (states - 1))
    return {name: Exact(value, "this lattice") for name, value in known.items()}


def _energies(size: int, states: int, beta: float) -> dict[str, float]:
    """Energy per site in units of J, and specific heat."""
    if states == 2:  # [a and b in one state] = (1 + x_a x_b) / 2, two edges a site
        torus = ising_torus(size, size, 0.5 * beta)
        return {"energy": 0.5 * torus.energy / (0.5 * beta) - 1.0, "specific_heat": torus.specific_heat}
    found = potts_torus(size, size, states, beta)
    return {"energy": found.energy / beta, "specific_heat": found.specific_heat}
