"""Simulated annealing with any kernel: a search for the lowest energy.

Source: Kirkpatrick, Gelatt and Vecchi (1983), Optimization by simulated annealing, doi:10.1126/science.220.4598.671.
What differs: any kernel of this package makes the moves, of continuous or discrete x, and every chain keeps the lowest
    point that it has met at the end of a step.
Leaves nothing invariant: the chains are no samples of any density (for those, `free_energy.ais` weighs the same walk).
Cost: the kernel's own, one energy a step beside it, and one refresh a temperature; memory does not grow with the steps.
Fails by freezing in a local minimum where the schedule passes a transition fast: run many chains, and twice the steps.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from energax.core import AbstractEnergy, AbstractSampler, Chains, Cond, Key, X, checks
from energax.numerics.random import chain_keys
from energax.numerics.tree import where_rows

from .adaptation import with_step_size
from .chains import admit, init_chains, num_chains, one_step, refresh_all, traced


class Annealed(NamedTuple):
    """What a search found.

    Attributes:
        x: The lowest point of every chain, chains on axis 0.
        energy: E there, at beta = 1 [nats]; inf for a chain that has met no finite energy.
        chains: The chains as the schedule left them, under `betas[-1]` times the energy.
        acceptance: Mean acceptance at every temperature, in [0, 1].
        divergent: Whether a chain has met a number that is not finite.
    """

    x: X
    energy: Float[Array, " chains"]
    chains: Chains
    acceptance: Float[Array, " temperatures"]
    divergent: Bool[Array, " chains"]


def simulated_annealing(
    key: Key,
    sampler: AbstractSampler,
    energy: AbstractEnergy | Callable,
    xs: X,
    betas: Array | np.ndarray,
    *,
    steps_per_temperature: int = 1,
    step_sizes: Array | np.ndarray | None = None,
    cond: Cond = None,
) -> Annealed:
    """Runs chains from `xs` along rising inverse temperatures and keeps the lowest point of each.

    Args:
        key: One typed key; it is used up.
        sampler: Any kernel.
        energy: An energy, or a plain function of one sample.
        xs: Starting points, chains on axis 0 of every leaf.
        betas: Inverse temperatures, >= 0, never falling: `numerics.geometric(0.1, 10.0, 100)`.
        steps_per_temperature: Steps at each of them, >= 1.
        step_sizes: One step size a temperature, in the sampler's units; None for the sampler's own throughout.
        cond: What the energy is conditioned on, one row a chain.

    Raises:
        ValueError: as `init_chains`; the schedule falls or is negative; `step_sizes` does not fit.

    Example:
        >>> from energax.numerics import geometric
        >>> from energax.samplers import MALA
        >>> betas = geometric(1.0, 1000.0, 200)
        >>> wells = lambda x: jnp.sum((x**2 - 1.0) ** 2 + 0.3 * x)
        >>> found = simulated_annealing(
        ...     jax.random.key(0), MALA(0.1), wells, jnp.ones((8, 1)), betas, step_sizes=0.1 / betas
        ... )
        >>> round(float(found.energy.min()), 2)
        -0.31
    """
    checks.count("simulated_annealing", "steps_per_temperature", steps_per_temperature)
    betas, step_sizes = _schedule(sampler, betas, step_sizes)
    chains = init_chains(sampler, energy, xs, cond)
    energy = admit("simulated_annealing", key, energy, chains, cond)
    return _anneal(traced(sampler), key, energy, chains, betas, step_sizes, int(steps_per_temperature), cond)


def _schedule(sampler: AbstractSampler, betas: Any, step_sizes: Any) -> tuple[Array, Array | None]:
    """The schedule as arrays, refused where it is none."""
    checks.non_negative("simulated_annealing", "betas", betas)
    if np.ndim(betas) != 1 or np.any(np.diff(np.asarray(betas)) < 0.0):
        got = f"shape {np.shape(betas)}" if np.ndim(betas) != 1 else "a schedule that falls"
        raise ValueError(f"simulated_annealing.betas must be a row of numbers that never falls; got {got}.")
    if step_sizes is None:
        return jnp.asarray(betas), None
    checks.positive("simulated_annealing", "step_sizes", step_sizes)
    if np.shape(step_sizes) != np.shape(betas) or not hasattr(sampler, "step_size"):
        raise ValueError(
            f"simulated_annealing.step_sizes must hold one step size of the sampler a temperature, {np.shape(betas)}; "
            f"got shape {np.shape(step_sizes)} for {type(sampler).__name__}."
        )
    return jnp.asarray(betas), jnp.asarray(step_sizes)


@eqx.filter_jit
def _anneal(sampler, key, energy, chains, betas, step_sizes, steps, cond):
    keys = chain_keys(key, num_chains(chains))

    def energies(xs):
        return jax.vmap(lambda x, c: (energy if c is None else energy.given(c))(x))(xs, cond)

    def temperature(carry, k):
        states, *best = carry
        kernel = sampler if step_sizes is None else with_step_size(sampler, step_sizes[k])
        level = betas[k] * energy

        def step(carry, index):
            states, x, lowest, divergent = carry
            states, info = one_step(kernel, keys, index, level, states, cond)
            value = energies(states.x)
            better = value < lowest  # never, where it is not a number
            best = where_rows(better, states.x, x), jnp.where(better, value, lowest), divergent | info.divergent
            return (states, *best), jnp.mean(info.acceptance)

        states = refresh_all(kernel, level, states, cond)
        carry, acceptance = jax.lax.scan(step, (states, *best), k * steps + jnp.arange(steps))
        return carry, jnp.mean(acceptance)

    start = energies(chains.states.x)
    lowest = jnp.where(jnp.isfinite(start), start, jnp.inf)
    carry = chains.states, chains.states.x, lowest, jnp.zeros(lowest.shape, bool)
    (states, x, lowest, divergent), acceptance = jax.lax.scan(temperature, carry, jnp.arange(betas.shape[0]))
    return Annealed(x, lowest, Chains(states), acceptance, divergent)
