"""Nonequilibrium work: a system is driven along a path by any kernel, at any speed, and the work is written down.

Source: Jarzynski (1997), Nonequilibrium equality for free energy differences, doi:10.1103/PhysRevLett.78.2690, eq. (2);
reverse runs: Crooks (1999), Entropy production fluctuation theorem and the nonequilibrium work relation for free energy
differences, doi:10.1103/PhysRevE.60.2721, eq. (2); kernels that are not invariant: Nilmeier, Crooks, Minh and Chodera
(2011), Nonequilibrium candidate Monte Carlo, doi:10.1073/pnas.1106094108.
Estimates E_F[exp(-W)] = exp(-Delta F) and, backwards, E_R[exp(-W)] = exp(Delta F), exactly for every protocol: the work
of a sampler is the energy's rise under a resting x; that of a pair is E_{k+1}(y) - E_k(x) - log B(y -> x)
+ log T(x -> y), which of an unadjusted kernel contains the work of its own discretisation error. Crooks' relation
P_F(W) / P_R(-W) = exp(W - Delta F), on which `bar` and `crooks` rest, holds for pairs and for samplers in detailed
balance (not for a sweep in fixed order, whose reversal is another sweep: `reverse_jarzynski` refuses it).
What differs from `ais`: nothing is tuned or summarised; the protocol is the experiment, and the works are the data for
`perturbation`, `crooks` and `bar`.
Cost: per chain and move, one energy at each end and the kernel's steps; memory is O(chains).
Fails: fast driving makes E[exp(-W)] hang on a few works (`perturbation` tells by its effective number).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energax.core import AbstractPath, Key, X, checks
from energax.numerics.random import chain_keys
from energax.samplers.chains import traced
from energax.samplers.pairs import AbstractPair, Kernel

from . import doors
from .ais import add_work
from .transitions import enter, gain_before, move, move_back, with_step


class Works(eqx.Module):
    """Works of driven runs; every field is an array of the target's float type.

    Attributes:
        work: Of each run, nats; +inf where a run ended outside the target's support.
        x: Final positions, chains on axis 0; forward with weights exp(-work), samples of the target.
        acceptance: Mean acceptance of each move in the order made, in [0, 1]; 1 for a pair.
        betas: The protocol, 0 to 1 in either direction.
        direction: "forward" (from 0 to 1) or "reverse".
        reversible: Whether the way back by the same kernel is the time reversal: of pairs, and in detailed balance.
    """

    work: Float[Array, " chains"]
    x: X
    acceptance: Float[Array, " moves"]
    betas: Float[Array, " temperatures"]
    direction: str = eqx.field(static=True)
    reversible: bool = eqx.field(static=True)


def jarzynski(
    key: Key,
    path: AbstractPath,
    kernel: Kernel,
    *,
    num_chains: int = 256,
    num_temperatures: int = 100,
    betas: Array | np.ndarray | None = None,
    step_sizes: Array | np.ndarray | None = None,
    steps_per_temperature: int = 1,
) -> Works:
    """Drives `num_chains` systems from exact equilibrium at s = 0 to s = 1.

    Args:
        key: One typed key.
        path: From a density that can be sampled to the target.
        kernel: A sampler that leaves each temperature's density exactly invariant, or an `AbstractPair`.
        num_chains: Independent runs, >= 2.
        num_temperatures: Points of an even protocol with both ends, >= 2; not looked at where `betas` are given.
        betas: The protocol itself, strictly increasing from 0 to 1.
        step_sizes: One step size for each move; None for the kernel's own.
        steps_per_temperature: Transitions after each change of the energy, >= 1.

    Raises:
        ValueError: An argument is out of range, the sampler is unadjusted, or the energy does not return a scalar.

    Example:
        >>> from energax.core import GeometricPath
        >>> from energax.energies import Gaussian, standard_normal
        >>> from energax.free_energy import perturbation
        >>> from energax.samplers import ULAPair
        >>> path = GeometricPath(standard_normal(1), Gaussian(jnp.ones(1), 0.5))
        >>> found = jarzynski(jax.random.key(0), path, ULAPair(0.05), num_chains=1000)
        >>> free = perturbation(jax.random.key(1), found)
        >>> abs(free.delta_f + float(path.target.log_z())) < 4 * free.std_error
        True
    """
    dtype = doors.run("jarzynski", key, path, kernel, num_chains, steps_per_temperature, pairs=True)
    protocol, steps = protocol_of("jarzynski", betas, num_temperatures, step_sizes, dtype)
    start, walk = jax.random.split(key)
    xs = exact_starts(start, path, num_chains)
    found = _forward(walk, path, traced(kernel, dtype), xs, protocol, steps, steps_per_temperature)
    reversible = isinstance(kernel, AbstractPair) or kernel.reversible
    return Works(*found, betas=protocol, direction="forward", reversible=reversible)


def reverse_jarzynski(
    key: Key,
    path: AbstractPath,
    kernel: Kernel,
    xs: X,
    *,
    num_temperatures: int = 100,
    betas: Array | np.ndarray | None = None,
    step_sizes: Array | np.ndarray | None = None,
    steps_per_temperature: int = 1,
) -> Works:
    """Drives systems from samples of the target at s = 1 back to s = 0, by the time reversal of `jarzynski`.

    Args:
        key: One typed key.
        path: As in `jarzynski`.
        kernel: The FORWARD kernel: a sampler in detailed balance (`reversible`), which is its own reversal, or a pair,
            whose reversal is walked by.
        xs: Samples of the target, chains on axis 0; the works are right as far as these are in equilibrium.
        num_temperatures: As in `jarzynski`.
        betas: The protocol, from 0 to 1: the same array as forwards.
        step_sizes: As in `jarzynski`, in the forward order.
        steps_per_temperature: As in `jarzynski`.

    Raises:
        ValueError: As `jarzynski`; the sampler is not reversible; `xs` is no stack of samples shaped like the base's.

    Example:
        >>> from energax.core import GeometricPath
        >>> from energax.energies import Gaussian, standard_normal
        >>> from energax.free_energy import perturbation
        >>> from energax.samplers import ULAPair
        >>> target = Gaussian(jnp.ones(1), 0.5)
        >>> ends = jax.vmap(target.sample)(jax.random.split(jax.random.key(2), 1000))
        >>> path = GeometricPath(standard_normal(1), target)
        >>> found = reverse_jarzynski(jax.random.key(0), path, ULAPair(0.05), ends)
        >>> free = perturbation(jax.random.key(1), found, direction="reverse")
        >>> abs(free.delta_f + float(target.log_z())) < 4 * free.std_error
        True
    """
    num = doors.starts("reverse_jarzynski", path, xs)
    dtype = doors.run("reverse_jarzynski", key, path, kernel, num, steps_per_temperature, pairs=True)
    doors.reversal("reverse_jarzynski", kernel)
    protocol, steps = protocol_of("reverse_jarzynski", betas, num_temperatures, step_sizes, dtype)
    found = _reverse(key, path, traced(kernel, dtype), xs, protocol, steps, steps_per_temperature)
    return Works(*found, betas=protocol, direction="reverse", reversible=True)


def forward_works(
    key: Key,
    path: AbstractPath,
    kernel: Kernel,
    xs: X,
    betas: Float[Array, " temperatures"],
    step_sizes: Float[Array, " moves"] | None,
    steps_per_temperature: int,
) -> tuple[Float[Array, " chains"], X, Float[Array, " moves"]]:
    """The bare forward run from exact base samples `xs` (chains on axis 0); pure.

    Returns:
        Works (nats), final positions, mean acceptance of each move.
    """
    chains = enter(kernel, path.at(0.0), xs)
    log_weights = jnp.zeros(jax.tree.leaves(xs)[0].shape[0], betas.dtype)

    def go(carry, k):
        chains, log_weights = carry
        here, there, stepping = betas[k], betas[k + 1], with_step(kernel, step_sizes, k)
        log_weights = add_work(log_weights, gain_before(kernel, path, here, there, chains.states.x))
        moved = move(jax.random.fold_in(key, k), stepping, path, here, there, chains, steps_per_temperature)
        return (moved.chains, add_work(log_weights, moved.gained)), moved.acceptance

    (chains, log_weights), acceptance = jax.lax.scan(go, (chains, log_weights), jnp.arange(betas.shape[0] - 1))
    return -log_weights, chains.states.x, acceptance


def reverse_works(
    key: Key,
    path: AbstractPath,
    kernel: Kernel,
    xs: X,
    betas: Float[Array, " temperatures"],
    step_sizes: Float[Array, " moves"] | None,
    steps_per_temperature: int,
) -> tuple[Float[Array, " chains"], X, Float[Array, " moves"]]:
    """The bare reverse run from target samples `xs` (chains on axis 0); pure, the mirror of `forward_works`."""
    chains = enter(kernel, path.at(betas[-1]), xs)
    log_weights = jnp.zeros(jax.tree.leaves(xs)[0].shape[0], betas.dtype)

    def go(carry, k):
        chains, log_weights = carry
        here, there, stepping = betas[k], betas[k + 1], with_step(kernel, step_sizes, k)
        moved = move_back(jax.random.fold_in(key, k), stepping, path, here, there, chains, steps_per_temperature)
        return (moved.chains, add_work(log_weights, moved.gained)), moved.acceptance

    order = jnp.arange(betas.shape[0] - 2, -1, -1)
    (chains, log_weights), acceptance = jax.lax.scan(go, (chains, log_weights), order)
    return -log_weights, chains.states.x, acceptance


_forward, _reverse = eqx.filter_jit(forward_works), eqx.filter_jit(reverse_works)


@eqx.filter_jit
def exact_starts(key: Key, path: AbstractPath, num_chains: int) -> X:
    """Exact base samples, chains on axis 0."""
    return jax.vmap(path.base.sample)(chain_keys(key, num_chains))


def protocol_of(
    owner: str,
    betas: Array | np.ndarray | None,
    num_temperatures: int,
    step_sizes: Array | np.ndarray | None,
    dtype: jnp.dtype,
) -> tuple[Array, Array | None]:
    """(betas, step sizes or None) as arrays of `dtype`, after their refusals."""
    checks.count(owner, "num_temperatures", num_temperatures, 2)
    even = np.linspace(0.0, 1.0, num_temperatures)
    kept = doors.schedule(owner, even if betas is None else betas)
    steps = None if step_sizes is None else doors.moves(owner, step_sizes, len(kept) - 1)
    return jnp.asarray(kept, dtype), None if steps is None else jnp.asarray(steps, dtype)
