"""Annealed Langevin dynamics: from coarse noise to fine, along energies of data smoothed by each level.

Source: Song and Ermon (2019), Generative modeling by estimating gradients of the data distribution, arXiv:1907.05600,
    alg. 1, with h_i = eps sigma_i^2 / sigma_L^2.
What differs: `step_size` is ULA's h of the finest level, half of the paper's epsilon, and may sit beside any energy of
    (x, sigma), learned or exact. Levels are given coarse to fine.
Leaves nothing invariant: every level runs ULA, whose own bias is O(h), and the last level has the law of its density
only as far as its steps forget where they began. On a Gaussian of variance s^2 a step of level i is
x' = mean + (1 - a)(x - mean) + sqrt(2 h_i) xi with a = h_i / (s^2 + sigma_i^2). Cost: one gradient a step.
Fails on mode masses where few steps are spent on the levels at which modes come apart: the masses freeze there.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from energax.core import AbstractEnergy, Chains, FunctionEnergy, Key, X, checks
from energax.numerics.random import chain_keys

from .chains import init_chains, num_chains, one_step
from .ula import ULA


def annealed_langevin(
    key: Key,
    energy: AbstractEnergy | Callable,
    xs: X,
    sigmas: Array | np.ndarray,
    *,
    step_size: float,
    steps_per_level: int,
) -> tuple[Chains, Bool[Array, " chains"]]:
    """Runs ULA from `xs` under E(x | sigma_1), then E(x | sigma_2), ... -> (chains, whether a chain diverged).

    Args:
        key: One typed key; it is used up.
        energy: An energy conditioned on the noise level, closed by `energy.given(sigma)`, or a function of the level
            (a scalar array) to an energy or to a function of x.
        xs: Starting points, chains on axis 0 of every leaf: noise as wide as the first level, say.
        sigmas: Noise levels, in the units of x, > 0, falling: `numerics.geometric(1.0, 0.01, 10)`.
        step_size: h of the last level, in squared units of x, > 0: some tenths of its sigma^2 are stable.
        steps_per_level: Steps at each level, >= 1.

    Raises:
        ValueError: as `init_chains`; the levels do not fall; a number is out of its range.

    Example:
        >>> from energax.numerics import geometric
        >>> smoothed = lambda sigma: lambda x: 0.5 * jnp.sum((x - 3.0) ** 2) / (0.1**2 + sigma**2)
        >>> key, start = jax.random.key(0), jnp.zeros((500, 1))
        >>> sigmas = geometric(1.0, 0.1, 5)
        >>> chains, _ = annealed_langevin(key, smoothed, start, sigmas, step_size=0.002, steps_per_level=20)
        >>> round(float(chains.states.x.mean()), 1)
        3.0
    """
    checks.typed_key("annealed_langevin", key)
    checks.positive("annealed_langevin", "step_size", step_size, ndim=0)
    checks.count("annealed_langevin", "steps_per_level", steps_per_level)
    checks.positive("annealed_langevin", "sigmas", sigmas)
    if np.ndim(sigmas) != 1 or np.any(np.diff(np.asarray(sigmas)) >= 0.0):
        got = f"shape {np.shape(sigmas)}" if np.ndim(sigmas) != 1 else "levels that do not"
        raise ValueError(f"annealed_langevin.sigmas must be a row of numbers that fall; got {got}.")
    if not callable(energy):
        raise ValueError(f"annealed_langevin.energy must be an energy or a function of sigma; got {energy!r}.")
    dtype = jax.tree.leaves(xs)[0].dtype
    sigmas = jnp.asarray(sigmas, dtype)
    chains = init_chains(ULA(step_size), _at(energy, sigmas[0]), xs)
    return _anneal(key, energy, chains, sigmas, jnp.asarray(step_size, dtype), int(steps_per_level))


def _at(energy, sigma) -> AbstractEnergy:
    """E(. | sigma) as an energy of x alone."""
    found = energy.given(sigma) if isinstance(energy, AbstractEnergy) else energy(sigma)
    return found if isinstance(found, AbstractEnergy) else FunctionEnergy(found)


def _step_sizes(sigmas: Array, step_size: Array) -> Array:
    return step_size * (sigmas / sigmas[-1]) ** 2


@eqx.filter_jit
def _anneal(key, energy, chains, sigmas, step_size, steps):
    keys, sizes = chain_keys(key, num_chains(chains)), _step_sizes(sigmas, step_size)

    def level(carry, i):
        kernel, at = ULA(sizes[i]), _at(energy, sigmas[i])

        def step(carry, index):
            states, divergent = carry
            states, info = one_step(kernel, keys, index, at, states)
            return (states, divergent | info.divergent), None

        return jax.lax.scan(step, carry, i * steps + jnp.arange(steps))

    start = chains.states, jnp.zeros(num_chains(chains), bool)
    (states, divergent), _ = jax.lax.scan(level, start, jnp.arange(sigmas.shape[0]))
    return Chains(states), divergent
