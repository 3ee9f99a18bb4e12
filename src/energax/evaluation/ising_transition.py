"""The Ising model of a square torus through its transition: local or cluster moves, beside the exact answers.

Source: Newman and Barkema (1999), Monte Carlo methods in statistical physics, chapters 3 and 4; the exact answers are
    those of `energies.ising_exact` (Kaufman 1949, Onsager 1944, Yang 1952).
Estimates every observable of `spin_observables` at each temperature from independent chains, all temperatures in one
compiled program. Energies are in units of J and per site, specific heats in units of k and per site.
Cost: chains x temperatures x (burn-in + sweeps) sweeps. Fails by local moves near the critical point where sweeps are
fewer than ten autocorrelation times, which grow as side^2.2 there: such rows are marked as not reliable.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from energax.core import Key, checks
from energax.energies import Ising, ising_plane, ising_torus, ising_torus_magnetisation
from energax.samplers import SwendsenWang, Wolff, multispin

from .spins import spin_observables
from .temperature_sweep import Curve, Exact, SweepRow, chain_sweep, check_plan, in_units, inverse_temperatures

MOST_SIDE = 8
"""Side up to which the exact law of the magnetisation of the finite torus is asked for."""
MOVES = ("local", "cluster", "wolff")


def ising_sweep(
    key: Key,
    size: int,
    betas: Sequence[float] | np.ndarray,
    *,
    move: str = "local",
    chains: int = 32,
    sweeps: int = 4000,
    burn_in: int = 1000,
    thin: int = 5,
) -> list[SweepRow]:
    """The Ising model of a square torus at a row of temperatures.

    Args:
        key: One typed key; it is used up.
        size: Side; of local moves even, up to 64 or a multiple of 64.
        betas: Inverse temperatures in units of 1 / J, > 0.
        move: "local": heat bath, 32 spins a word, from all spins up; "cluster": Swendsen-Wang, or "wolff": one cluster
            a step; both start half of the chains from all spins up and half from spins at random.
        chains: Independent lattices a temperature, >= 2.
        sweeps: Sweeps (steps of the kernel) that are measured, a multiple of `thin`, >= 4 `thin`.
        burn_in: Sweeps before, >= 0.
        thin: Sweeps a measurement, >= 1.

    Returns:
        One row a temperature, in the order given. Exact: energy and specific heat of this torus by Kaufman's formula;
        |m| and the Binder cumulant of this torus up to side 8, |m| of the infinite lattice (Yang) beyond.

    Raises:
        ValueError: An argument is out of its range.

    Example:
        >>> row = ising_sweep(jax.random.key(0), 8, [0.3], chains=8, sweeps=400, burn_in=100)[0]
        >>> abs(row.deviations()["energy"]) < 4
        True
    """
    couplings = inverse_temperatures("ising_sweep", betas)
    checks.typed_key("ising_sweep", key)
    checks.count("ising_sweep", "size", size, least=2)
    if move not in MOVES:
        raise ValueError(f"ising_sweep.move must be one of {', '.join(MOVES)}; got {move!r}.")
    if move == "local" and (size % 2 or (size > 64 and size % 64)):
        raise ValueError(
            f"ising_sweep.size must be even, up to 64 or a multiple of 64, for local moves; got {size}. Clusters "
            "(move 'cluster' or 'wolff') take any."
        )
    check_plan("ising_sweep", chains, sweeps, burn_in, thin)
    plan = {"sweeps": sweeps, "burn_in": burn_in, "thin": thin}
    draws = _local if move == "local" else _cluster
    found = draws(key, size, couplings, chains, move, plan)
    rows = []
    for beta, (energy, spin, sound) in zip(couplings, found, strict=True):
        seen = in_units(spin_observables(spin, beta * energy, size * size), float(beta), sound=sound)
        rows.append(SweepRow(float(beta), seen, _exact(size, float(beta))))
    return rows


def ising_curves(size: int, low: float, high: float, num: int = 200) -> list[Curve]:
    """Exact curves of the square torus between two inverse temperatures: energy, specific heat, and Yang's |m|.

    Args:
        size: Side, >= 2.
        low: Lowest inverse temperature in units of 1 / J, > 0.
        high: Highest.
        num: Points of each curve, >= 2.

    Example:
        >>> [curve.name for curve in ising_curves(4, 0.3, 0.6, num=5)]
        ['energy', 'specific_heat', 'abs_magnetisation']
    """
    betas = np.linspace(low, high, num)
    rows = [_formulas(size, float(beta)) for beta in betas]
    return [Curve(name, rows[0][name].of, betas, np.array([row[name].value for row in rows])) for name in rows[0]]


def _local(key, size, couplings, chains, move, plan):
    """Energies [J] and mean spins [chains, draws] of every temperature, by multi-spin coding."""
    total = chains * len(couplings)
    run = multispin(
        key, (size, size), np.repeat(couplings, chains), num_sweeps=plan["sweeps"], burn_in=plan["burn_in"],
        thin=plan["thin"], num_lattices=total, x=np.ones((total, size * size), np.float32),
    )  # fmt: skip
    energy = np.asarray(run.energy, np.float64).reshape(len(couplings), chains, -1)
    spin = np.asarray(run.magnetisation, np.float64).reshape(energy.shape) / (size * size)
    return [(e / beta, m, True) for beta, e, m in zip(couplings, energy, spin, strict=True)]


def _cluster(key, size, couplings, chains, move, plan):
    """The same by clusters."""
    start, walk = jax.random.split(key)
    spins = jax.random.rademacher(start, (chains, size * size), jnp.result_type(float))
    spins = spins.at[::2].set(1.0)
    sampler = SwendsenWang() if move == "cluster" else Wolff()
    found = chain_sweep(walk, sampler, Ising.lattice((size, size), 1.0), couplings, spins, _mean_spin, **plan)
    return [(each.energy, each.statistic, not each.divergent) for each in found]


def _mean_spin(x: Array) -> Array:
    return jnp.mean(x)


def _exact(size: int, beta: float) -> dict[str, Exact]:
    known = _formulas(size, beta)
    if size <= MOST_SIDE:  # by transfer matrix, half a second
        finite = ising_torus_magnetisation(size, size, beta)
        known["abs_magnetisation"] = Exact(finite.absolute, "this lattice")
        known["binder"] = Exact(finite.binder, "this lattice")
    return known


def _formulas(size: int, beta: float) -> dict[str, Exact]:
    torus = ising_torus(size, size, beta)
    return {
        "energy": Exact(torus.energy / beta, "this lattice"),
        "specific_heat": Exact(torus.specific_heat, "this lattice"),
        "abs_magnetisation": Exact(ising_plane(beta).magnetisation, "the infinite lattice"),
    }
