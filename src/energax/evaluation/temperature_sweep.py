"""A model of statistical physics at a row of temperatures: any kernel, one compile for all of them, numbers kept.

Source: Newman and Barkema (1999), Monte Carlo methods in statistical physics, chapters 3 and 4.
What differs: the inverse temperature is a traced number of `beta * energy`, so that a row of temperatures is one
program; what is kept of a draw is its energy and a statistic, never the draw.
Estimates nothing itself: `ising_sweep`, `potts_sweep` and `rbm_sweep` make observables of what it records, and put what
is known exactly beside them. Cost: chains x temperatures x (burn-in + sweeps) steps. Fails near a critical point where
sweeps are fewer than some ten autocorrelation times, which grow as side^2.2 for local updates: such rows are marked as
not reliable.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from energax.core import AbstractEnergy, AbstractSampler, Chains, Key, X, checks
from energax.numerics.random import chain_keys
from energax.samplers import init_chains
from energax.samplers.chains import num_chains, one_step, traced

from .jackknife import Observable


class Exact(NamedTuple):
    """What is known of one observable."""

    value: float
    """In the observable's units."""
    of: str
    """"this lattice" or "this machine", which estimates must meet, or "the infinite lattice", which they approach."""


class Curve(NamedTuple):
    """An exact curve to draw beside the estimates, or one exact point."""

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
        """Standard errors between estimate and exact value, where that is of this very system."""
        return {
            name: float((self.observables[name].value - known.value) / self.observables[name].std_error)
            for name, known in self.exact.items()
            if known.of.startswith("this ") and math.isfinite(self.observables[name].std_error)
        }


class SweepDraws(NamedTuple):
    """What was kept of the draws at one temperature, chains on axis 0 and time on axis 1."""

    energy: np.ndarray
    """E(x) at beta = 1, in nats, [chains, draws]."""
    statistic: PyTree[np.ndarray]
    """Of every draw, [chains, draws, ...]."""
    divergent: bool
    """Whether any step of any chain met a number that is not finite."""


def chain_sweep(
    key: Key,
    sampler: AbstractSampler,
    energy: AbstractEnergy,
    betas: Sequence[float] | np.ndarray,
    xs: PyTree[Array],
    statistic: Callable[[X], PyTree[Array]],
    *,
    sweeps: int,
    burn_in: int = 0,
    thin: int = 1,
) -> list[SweepDraws]:
    """Runs independent chains of any kernel on `beta * energy` for every beta, from the same starts.

    Args:
        key: One typed key; it is used up.
        sampler: The kernel.
        energy: At beta = 1.
        betas: Inverse temperatures, > 0.
        xs: Starting points, chains on axis 0 of every leaf.
        statistic: What to keep of one sample. Another function is another compilation: name it.
        sweeps: Steps that are measured, a multiple of `thin`.
        burn_in: Steps before, >= 0.
        thin: Steps a measurement, >= 1.

    Raises:
        ValueError: An argument is out of its range, or as `init_chains`.

    Example:
        >>> from energax.energies import Potts
        >>> from energax.samplers import SwendsenWang
        >>> energy, start = Potts.lattice((4, 4), 3, 1.0), jnp.tile(jnp.eye(3)[:1], (2, 16, 1))
        >>> found = chain_sweep(jax.random.key(0), SwendsenWang(), energy, [0.5, 1.0], start, jnp.mean, sweeps=20)
        >>> len(found), found[0].energy.shape
        (2, (2, 20))
    """
    couplings = inverse_temperatures("chain_sweep", betas)
    checks.typed_key("chain_sweep", key)
    for name, value, least in (("sweeps", sweeps, 1), ("burn_in", burn_in, 0), ("thin", thin, 1)):
        checks.count("chain_sweep", name, value, least)
    if sweeps % thin:
        raise ValueError(f"chain_sweep.sweeps must be a multiple of thin = {thin}; got {sweeps}.")
    found = []
    for part, beta in zip(jax.random.split(key, len(couplings)), couplings, strict=True):
        level = jnp.asarray(beta, jnp.result_type(float)) * energy
        chains = init_chains(sampler, level, xs)
        _, (values, statistics), divergent = record(
            part, sampler, level, chains, _Kept(energy, statistic), sweeps // thin, thin=thin, burn_in=burn_in
        )
        found.append(SweepDraws(values.astype(np.float64), statistics, divergent))
    return found


LEAST_DRAWS = 4
"""Draws a chain that an error bar wants."""


def check_plan(owner: str, chains: int, sweeps: int, burn_in: int, thin: int) -> None:
    """Refuses a plan that makes no error bar, before anything is run.

    Raises:
        ValueError: A number is out of its range, `sweeps` no multiple of `thin`, or draws are too few.
    """
    for name, value, least in (("chains", chains, 2), ("burn_in", burn_in, 0), ("thin", thin, 1)):
        checks.count(owner, name, value, least)
    checks.count(owner, "sweeps", sweeps, LEAST_DRAWS * thin)
    if sweeps % thin:
        raise ValueError(f"{owner}.sweeps must be a multiple of thin = {thin}; got {sweeps}.")


def inverse_temperatures(owner: str, betas: Sequence[float] | np.ndarray) -> np.ndarray:
    """`betas` as a row of numbers > 0.

    Raises:
        ValueError: They are none.
    """
    checks.positive(owner, "betas", np.asarray(betas))
    array = np.asarray(betas, np.float64)
    if array.ndim != 1:
        raise ValueError(f"{owner}.betas must be a row of inverse temperatures; got shape {array.shape}.")
    return array


def in_units(observables: dict[str, Observable], beta: float, *, sound: bool = True) -> dict[str, Observable]:
    """Observables with the energy in units of J instead of nats; none is reliable where the chains were not sound."""
    energy = observables["energy"]
    scaled = energy._replace(value=energy.value / beta, std_error=energy.std_error / beta)
    found = observables | {"energy": scaled}
    return found if sound else {name: each._replace(reliable=False) for name, each in found.items()}


class _Kept(eqx.Module):
    """What is kept of one chain's state: E(x) at beta = 1, and the statistic of x."""

    energy: AbstractEnergy
    statistic: Callable[[X], PyTree[Array]] = eqx.field(static=True)

    def __call__(self, state: Any) -> tuple[Array, PyTree[Array]]:
        return self.energy(state.x), self.statistic(state.x)


def record(
    key: Key,
    sampler: AbstractSampler,
    energy: AbstractEnergy,
    chains: Chains,
    read: Callable[[Any], PyTree[Array]],
    num_draws: int,
    *,
    thin: int = 1,
    burn_in: int = 0,
) -> tuple[Chains, PyTree[np.ndarray], bool]:
    """As `samplers.sample`, but keeps `read(state)` of every chain's whole state, and nothing else.

    Args:
        key: One typed key; it is used up.
        sampler: The kernel.
        energy: The energy.
        chains: From `init_chains` with this energy.
        read: What to keep of one chain's state: a module, whose arrays are traced, or a named function.
        num_draws: Draws a chain, >= 1.
        thin: Steps a draw, >= 1.
        burn_in: Steps before, >= 0.

    Returns:
        The chains after the last step; what was kept, [chains, draws, ...]; and whether any step met a number that is
        not finite.
    """
    chains, kept, divergent = _record(traced(sampler), key, energy, chains, read, num_draws, thin, burn_in)
    return chains, jax.tree.map(np.asarray, kept), bool(divergent)


@eqx.filter_jit
def _record(sampler, key, energy, chains, read, num_draws, thin, burn_in):
    keys = chain_keys(key, num_chains(chains))

    def walk(carry, index):
        states, divergent = carry
        states, info = one_step(sampler, keys, index, energy, states)
        return (states, divergent | jnp.any(info.divergent)), None

    def draw(carry, number):
        carry, _ = jax.lax.scan(walk, carry, burn_in + number * thin + jnp.arange(thin))
        return carry, jax.vmap(read)(carry[0])

    carry = chains.states, jnp.array(False)
    if burn_in:
        carry, _ = jax.lax.scan(walk, carry, jnp.arange(burn_in))
    (states, divergent), kept = jax.lax.scan(draw, carry, jnp.arange(num_draws))
    return Chains(states), jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), kept), divergent
