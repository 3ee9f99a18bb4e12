"""Observables of chains with their error bars against exact values, for benchmarks/coverage.py.

Every run has four chains of its own from a start far off, of which a fifth is thrown away; runs differ in the random
numbers alone.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import coverage_problems
import jax
import jax.numpy as jnp
import numpy as np

from energax.core import AbstractEnergy, AbstractSampler, FunctionEnergy
from energax.energies import (
    DoubleWell,
    Gaussian,
    Ising,
    MuellerBrown,
    Potts,
    edwards_anderson,
    enumerate_exact,
    lattice_edges,
    quadrature_exact,
)
from energax.evaluation import (
    correlation_function,
    magnetisation,
    observe,
    overlap_observables,
    potts_observables,
    spin_observables,
    summary,
)
from energax.samplers import (
    CATEGORIES,
    MALA,
    SPINS,
    BlockGibbs,
    CheckerboardGibbs,
    checkerboard,
    colouring,
    init_chains,
    sample,
)
from energax.samplers.moments import moments

CHAINS, DRAWS, BURN_IN = 4, 500, 125


class Seen(NamedTuple):
    """What one run said of one observable: value, standard error, the ends of its 95 % interval."""

    value: float
    error: float
    low: float
    high: float


Measure = Callable[[np.ndarray, np.ndarray], dict[str, Seen]]


def seen(observable) -> Seen:
    """An `Observable`'s own interval."""
    return Seen(observable.value, observable.std_error, *observable.interval())


def draws(key, energy, kernel: AbstractSampler, start, runs: int, num: int, thin: int, burn_in: int = BURN_IN):
    """-> (x [runs, chains, draws, ...], energies [runs, chains, draws])."""
    xs = jnp.broadcast_to(start, (runs * CHAINS, *start.shape))
    chains = init_chains(kernel, energy, xs)
    _, found = sample(key, kernel, energy, chains, num, thin=thin, burn_in=burn_in)
    x, e = np.asarray(found.x), np.asarray(found.energy, np.float64)
    return x.reshape(runs, CHAINS, *x.shape[1:]), e.reshape(runs, CHAINS, num)


def spins(coupling: float, field: float):
    """A 4 x 4 torus of spins -> (exact values, runs)."""
    energy = Ising.lattice((4, 4), coupling, field)

    def moments_of(x):
        m, torus = x.mean(1), x.reshape(-1, 4, 4)
        e = np.asarray(jax.vmap(energy)(jnp.asarray(x, jnp.float32)), np.float64)
        pairs = [np.mean(x * np.roll(torus, -r, axis).reshape(x.shape), 1) for axis in (1, 2) for r in (1, 2)]
        far = [0.5 * (pairs[0] + pairs[2]), 0.5 * (pairs[1] + pairs[3])]
        return np.stack([m, np.abs(m), m**2, m**4, e, e**2, *far], 1)

    m, size, m2, m4, e, e2, one, two = enumerate_exact(energy, 16, observe=moments_of).observed
    exact = {
        "magnetisation": m,
        "abs_magnetisation": size,
        "squared_magnetisation": m2,
        "susceptibility": 16 * (m2 - m**2),
        "abs_susceptibility": 16 * (m2 - size**2),
        "binder": 1.0 - m4 / (3.0 * m2**2),
        "energy": e / 16,
        "specific_heat": (e2 - e**2) / 16,
        "correlation at 1": one,
        "correlation at 2": two,
        "connected correlation at 1": one - m**2,
        "connected correlation at 2": two - m**2,
    }

    def runs(key, num: int) -> Iterator[dict[str, Seen]]:
        kernel = CheckerboardGibbs(SPINS, checkerboard((4, 4)))
        for x, e in zip(*draws(key, energy, kernel, jnp.ones(16), num, DRAWS, 1), strict=True):
            found = {name: seen(o) for name, o in spin_observables(magnetisation(x), e, 16).items()}
            for words, connected in (("correlation", False), ("connected correlation", True)):
                each = correlation_function(x, (4, 4), connected=connected).observables
                found |= {f"{words} at {r}": seen(o) for r, o in enumerate(each, start=1)}
            yield found

    return exact, runs


def potts():
    """A 3 x 3 lattice of three states -> (exact values, runs)."""
    energy = Potts.lattice((3, 3), 3, 0.9, periodic=False)

    def moments_of(x):
        n = x.mean(1)
        m, e = (3.0 * n.max(1) - 1.0) / 2.0, np.asarray(jax.vmap(energy)(jnp.asarray(x, jnp.float32)), np.float64)
        return np.stack([m, m**2, m**4, (3.0 * np.sum(n**2, 1) - 1.0) / 2.0, e, e**2], 1)

    m, m2, m4, alignment, e, e2 = enumerate_exact(energy, 9, 3, observe=moments_of).observed
    exact = {
        "order_parameter": m,
        "squared_order_parameter": m2,
        "order_susceptibility": 9 * (m2 - m**2),
        "order_binder": 1.0 - m4 / (3.0 * m2**2),
        "alignment": alignment,
        "energy": e / 9,
        "specific_heat": (e2 - e**2) / 9,
    }

    def runs(key, num: int) -> Iterator[dict[str, Seen]]:
        kernel = CheckerboardGibbs(CATEGORIES, colouring(lattice_edges((3, 3), False), 9))
        start = jax.nn.one_hot(jnp.zeros(9, int), 3)
        for x, e in zip(*draws(key, energy, kernel, start, num, DRAWS, 1), strict=True):
            yield {name: seen(o) for name, o in potts_observables(x.mean(2), e, 9).items()}

    return exact, runs


def glass():
    """Overlaps of two replicas of a 4 x 4 spin glass -> (exact values, runs)."""
    energy = edwards_anderson(jax.random.key(3), (4, 4), 0.6)
    pairs = enumerate_exact(energy, 16, observe=lambda x: np.einsum("ni,nj->nij", x, x)).observed
    states = 1.0 - 2.0 * ((np.arange(1 << 16)[:, None] >> np.arange(16)) & 1)
    values = np.asarray(jax.jit(jax.vmap(energy))(jnp.asarray(states, jnp.float32)), np.float64)
    p = np.exp(values.min() - values)
    # exact <q^4> and <|q|> from the law of q: a correlation of p with itself over the group of spin flips
    law = np.fft.irfftn(np.abs(np.fft.rfftn((p / p.sum()).reshape([2] * 16))) ** 2, [2] * 16).reshape(-1)
    q = states.mean(1)
    q2, q4 = law @ q**2, law @ q**4
    assert abs(q2 - np.sum(pairs**2) / 256) < 1e-5
    exact = {
        "overlap": law @ q,
        "abs_overlap": law @ np.abs(q),
        "squared_overlap": q2,
        "glass_susceptibility": 16 * q2,
        "overlap_binder": 1.0 - q4 / (3.0 * q2**2),
    }

    def runs(key, num: int) -> Iterator[dict[str, Seen]]:
        kernel = CheckerboardGibbs(SPINS, checkerboard((4, 4)))
        x, _ = draws(key, energy, kernel, jnp.ones(16), 2 * num, DRAWS, 2)
        for a, b in zip(x[:num], x[num:], strict=True):
            yield {name: seen(o) for name, o in overlap_observables(a, b).items()}

    return exact, runs


def machine():
    """The machine of the log Z estimators -> (exact values, runs)."""
    rbm = coverage_problems.machine()
    visible = len(rbm.visible_bias)

    def moments_of(v):
        field = v @ np.asarray(rbm.weights, np.float64) + np.asarray(rbm.hidden_bias, np.float64)
        e = -v @ np.asarray(rbm.visible_bias, np.float64) - np.logaddexp(0.0, field).sum(1)
        on, hidden = v.mean(1), (1.0 / (1.0 + np.exp(-field))).mean(1)
        return np.stack([on, on**2, hidden, e, e**2, v[:, 0]], 1)

    states = ((np.arange(1 << visible)[:, None] >> np.arange(visible)) & 1).astype(np.float64)
    found = moments_of(states)
    p = np.exp(found[:, 3].min() - found[:, 3])
    on, on2, hidden, e, e2, first = p / p.sum() @ found
    exact = {
        "visible units on": on,
        "variance of visible units on": visible * (on2 - on**2),
        "hidden units on": hidden,
        "free energy": e,
        "variance of free energy": e2 - e**2,
        "first visible unit": first,
    }

    def runs(key, num: int) -> Iterator[dict[str, Seen]]:
        x, _ = draws(key, rbm, BlockGibbs(), jnp.ones(visible), num, DRAWS, 1)
        for each in x:
            m = moments_of(each.reshape(-1, visible).astype(np.float64)).reshape(CHAINS, DRAWS, -1)
            yield {
                "visible units on": seen(observe(m[..., 0])),
                "variance of visible units on": seen(
                    observe(m[..., :2], lambda a: visible * (a[..., 1] - a[..., 0] ** 2))
                ),
                "hidden units on": seen(observe(m[..., 2])),
                "free energy": seen(observe(m[..., 3])),
                "variance of free energy": seen(observe(m[..., 3:5], lambda a: a[..., 1] - a[..., 0] ** 2)),
                "first visible unit": seen(observe(m[..., 5])),
            }

    return exact, runs


BETA = 0.05


def continuous(energy: AbstractEnergy, kernel: AbstractSampler, box, start, steps: int):
    """Means of x and x^2 by MALA, in three ways -> (exact values, runs)."""
    known = quadrature_exact(energy, box, 800, observe=lambda x: np.concatenate([x, x**2], 1)).observed
    dim = len(box)
    named = dict(zip([f"x[{i}]" for i in range(dim)] + [f"x[{i}]^2" for i in range(dim)], known, strict=True))
    variance = {f"variance of x[{i}]": known[dim + i] - known[i] ** 2 for i in range(dim)}
    ways = ("moments", "summary")
    exact = {f"{name}, {way}": value for name, value in named.items() for way in ways} | {
        f"{name}, observe": value for name, value in (named | variance).items()
    }

    def runs(key, num: int) -> Iterator[dict[str, Seen]]:
        one, two = jax.random.split(key)
        online = _online(one, energy, kernel, start, num, steps)
        x, _ = draws(two, energy, kernel, start, num, DRAWS, steps // DRAWS, steps // 4)
        for run in range(num):
            both = np.concatenate([x[run], x[run] ** 2], 2).astype(np.float64)
            table = summary(both, names=list(named))["table"]
            found = {}
            for place, (name, row) in enumerate(zip(named, table, strict=True)):
                found[f"{name}, moments"] = _normal(online[0][run, place], online[1][run, place])
                found[f"{name}, summary"] = _normal(row["mean"], row["mcse"])
                found[f"{name}, observe"] = seen(observe(both[..., place]))
            for i in range(dim):
                part = both[..., [i, dim + i]]
                found[f"variance of x[{i}], observe"] = seen(observe(part, lambda a: a[..., 1] - a[..., 0] ** 2))
            yield found

    return exact, runs


def _online(key, energy, kernel, start, num: int, steps: int):
    """Means [runs, quantities] and their errors by `moments`, every run with chains of its own."""
    xs = jnp.broadcast_to(start, (num, CHAINS, *start.shape))
    chains = jax.vmap(lambda x: init_chains(kernel, energy, x))(xs)

    def one(key, chains):
        both = {"statistics": lambda x: jnp.concatenate([x, x**2]), "burn_in": steps // 4}
        found = moments(key, kernel, energy, chains, steps, **both)[1]
        return found.mean, found.std_error

    return tuple(np.asarray(a, np.float64) for a in jax.jit(jax.vmap(one))(jax.random.split(key, num), chains))


def _normal(value: float, error: float) -> Seen:
    return Seen(value, error, value - 1.96 * error, value + 1.96 * error)


@cache
def systems() -> dict[str, tuple[dict[str, float], Callable]]:
    """Everything that is observed, by name: exact values, and a function (key, number) -> runs."""
    skewed = Gaussian(jnp.array([1.0, -0.5]), jnp.array([0.2, 0.5]))
    surface = MuellerBrown()
    basins = FunctionEnergy(lambda x: BETA * surface(x))
    return {
        "Ising 4 x 4 in a field": spins(0.3, 0.1),
        "Ising 4 x 4": spins(0.3, 0.0),
        "Potts 3 x 3": potts(),
        "spin glass 4 x 4": glass(),
        "RBM": machine(),
        "Gaussian": continuous(skewed, MALA(0.04), ((-1.0, 3.0), (-5.0, 4.0)), jnp.array([1.0, -0.5]), 4000),
        "double well": continuous(DoubleWell(2.0, tilt=0.3), MALA(0.2), ((-3.0, 3.0),), jnp.zeros(1), 4000),
        "2-D quadrature": continuous(basins, MALA(0.04), ((-2.5, 1.8), (-1.5, 3.0)), jnp.array([0.6, 0.0]), 40_000),
    }


def observed(name: str, key, runs: int) -> list[dict]:
    """`runs` independent runs -> of every observable, how many intervals held the truth."""
    exact, make = systems()[name]
    found = list(make(key, runs))
    rows = []
    for what, truth in exact.items():
        value, error, low, high = np.array([each[what] for each in found]).T
        off = value - truth
        rows.append(
            {
                "name": what,
                "target": name,
                "runs": runs,
                "held": {"95 %": int(np.sum((low <= truth) & (truth <= high)))},
                "spread": float(np.std(off, ddof=1) / np.sqrt(np.mean(error**2))),
                "bias": float(np.mean(off) / np.mean(error)),
                "error": float(np.mean(error)),
            }
        )
    return rows
