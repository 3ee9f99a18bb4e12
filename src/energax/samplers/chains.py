"""Many chains: init, advance, sample. The maths of a sampler is for one chain; the batch and the time axis live here.

Randomness is a function of (key, chain, step) alone. Chain i draws the same numbers whatever the number of chains, the
split over devices, or the chunking of the chains, and the scan over time equals a loop over `one_step`.

Source: kernels as pairs (init, step), vmapped over chains and scanned over time, as in Cabezas et al. (2024), BlackJAX,
arXiv:2402.10797. Differs: the energy goes into every step and states are refreshed first; keys are per chain.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key as Keys, PyTree

from energax.core import AbstractEnergy, AbstractSampler, Chains, Cond, FunctionEnergy, Key, checks
from energax.numerics.random import chain_keys, step_key


class Draws(NamedTuple):
    """Recorded draws, chains on axis 0 and time on axis 1.

    `acceptance` and `divergent` are over the `thin` steps that led to each draw.
    """

    x: PyTree[Array]
    energy: Float[Array, "chains draws"]
    acceptance: Float[Array, "chains draws"]
    divergent: Bool[Array, "chains draws"]


def init_chains(
    sampler: AbstractSampler, energy: AbstractEnergy | Callable, xs: PyTree[Array], cond: Cond = None
) -> Chains:
    """Starts one chain at every row of `xs`.

    Args:
        sampler: The kernel.
        energy: An energy, or a plain function of one sample.
        xs: Starting points, chains on axis 0 of every leaf; floating point and finite.
        cond: What the energy is conditioned on, one row a chain; None for an energy of x alone.

    Raises:
        ValueError: `xs` is no stack of finite floating-point samples; the energy does not map one sample to a scalar;
            the energy is not finite at a starting point and the kernel caches it; `cond` has another number of rows.

    Example:
        >>> from energax.samplers import MALA
        >>> chains = init_chains(MALA(0.1), lambda x: 0.5 * jnp.sum(x**2), jnp.zeros((4, 2)))
        >>> chains.states.energy.shape
        (4,)
    """
    energy = _as_energy("init_chains", energy, cond)
    num = _num_rows("init_chains", xs)
    _check_cond("init_chains", cond, num)
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), (xs, cond))
    value = eqx.filter_eval_shape(energy, *one)
    checks.scalar_energy("init_chains", value.shape if isinstance(value, jax.ShapeDtypeStruct) else (value,))
    chains = _init(traced(sampler), energy, xs, cond)
    _check_start(chains)
    return chains


def advance(
    key: Key,
    sampler: AbstractSampler,
    energy: AbstractEnergy | Callable,
    chains: Chains,
    num_steps: int,
    cond: Cond = None,
    *,
    chunk_size: int | None = None,
) -> tuple[Chains, Any]:
    """Moves every chain by `num_steps` steps; refreshes first, so that a changed energy is followed.

    Args:
        key: One typed key; it is used up.
        sampler: The kernel. Its numbers are traced: another step size compiles nothing.
        energy: An energy, or a plain function of one sample.
        chains: From `init_chains` or an earlier call.
        num_steps: Steps, >= 1.
        cond: As in `init_chains`.
        chunk_size: Chains that walk at a time, >= 1, the others after them: for image networks on a CPU, whose
            intermediates stay in cache so. The numbers are the same, to round-off. None moves all side by side.

    Returns:
        The chains, and the sampler's Info with one entry a chain: `acceptance` averaged over the steps, `divergent`
        true where any step was, the rest as the last step left it.

    Raises:
        ValueError: `key` is not one typed key, `num_steps` or `chunk_size` is not an integer >= 1, or `cond` does not
            fit the chains.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> from energax.samplers import MALA
        >>> energy, sampler = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2)), MALA(0.5)
        >>> chains = init_chains(sampler, energy, jnp.zeros((4, 2)))
        >>> chains, info = advance(jax.random.key(0), sampler, energy, chains, num_steps=10)
        >>> chains.states.x.shape, info.acceptance.shape
        ((4, 2), (4,))
    """
    checks.count("advance", "num_steps", num_steps)
    if chunk_size is not None:
        checks.count("advance", "chunk_size", chunk_size)
    energy = admit("advance", key, energy, chains, cond)
    return _advance(traced(sampler), key, energy, chains, int(num_steps), cond, chunk_size)


def sample(
    key: Key,
    sampler: AbstractSampler,
    energy: AbstractEnergy | Callable,
    chains: Chains,
    num_samples: int,
    *,
    thin: int = 1,
    burn_in: int = 0,
    cond: Cond = None,
) -> tuple[Chains, Draws]:
    """Runs `burn_in` steps, then records every `thin`-th of `num_samples * thin` steps.

    Args:
        key: One typed key; it is used up.
        sampler: The kernel.
        energy: An energy, or a plain function of one sample.
        chains: From `init_chains` or an earlier call; refreshed first.
        num_samples: Draws a chain, >= 1.
        thin: Steps a draw, >= 1.
        burn_in: Steps that are thrown away, >= 0.
        cond: As in `init_chains`.

    Returns:
        The chains after the last step, and the draws with chains on axis 0, time on axis 1.

    Raises:
        ValueError: as `advance`.

    Example:
        >>> from energax.samplers import MALA
        >>> energy = lambda x: 0.5 * jnp.sum(x**2)
        >>> chains = init_chains(MALA(0.5), energy, jnp.zeros((4, 2)))
        >>> chains, draws = sample(jax.random.key(0), MALA(0.5), energy, chains, 10, thin=2)
        >>> draws.x.shape, draws.acceptance.shape
        ((4, 10, 2), (4, 10))
    """
    checks.count("sample", "num_samples", num_samples)
    checks.count("sample", "thin", thin)
    checks.count("sample", "burn_in", burn_in, least=0)
    energy = admit("sample", key, energy, chains, cond)
    return _sample(traced(sampler), key, energy, chains, int(num_samples), int(thin), int(burn_in), cond)


def admit(owner: str, key: Key, energy: AbstractEnergy | Callable, chains: Chains, cond: Cond) -> AbstractEnergy:
    """Checks at the door of `owner` what every runner takes -> the energy, a plain function wrapped.

    Raises:
        ValueError: `key` is not one typed key, `energy` is no energy, `cond` does not fit the chains.
    """
    checks.typed_key(owner, key)
    energy = _as_energy(owner, energy, cond)
    _check_cond(owner, cond, num_chains(chains))
    return energy


def traced(sampler: eqx.Module, dtype: Any = None) -> Any:
    """The sampler with its Python floats as arrays (of `dtype`): arguments of the executable, not constants of it."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype) if isinstance(leaf, float) else leaf, sampler)


def num_chains(chains: Chains) -> int:
    """How many chains a stack holds.

    Raises:
        ValueError: `chains` holds no arrays, or one without an axis of chains.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> from energax.samplers import ULA
        >>> num_chains(init_chains(ULA(0.1), FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2)), jnp.zeros((4, 2))))
        4
    """
    shape = next((np.shape(leaf) for leaf in jax.tree.leaves(chains)), ())
    if not shape:
        raise ValueError(f"num_chains.chains must be chains, as init_chains makes them; got {type(chains).__name__}.")
    return shape[0]


def one_step(
    sampler: AbstractSampler,
    keys: Keys[Array, " chains"],
    index: Any,
    energy: AbstractEnergy,
    states: Any,
    cond: Cond = None,
) -> tuple[Any, Any]:
    """Step number `index` of every chain -> (states, info): the vmapped step that `advance` scans.

    Args:
        sampler: The kernel.
        keys: One key a chain, of `chain_keys`.
        index: Number of the step under these keys, from 0.
        energy: The energy.
        states: `Chains.states`, refreshed under this energy.
        cond: What the energy is conditioned on, one row a chain.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> from energax.numerics import chain_keys
        >>> from energax.samplers import MALA
        >>> energy, sampler = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2)), MALA(0.5)
        >>> chains = init_chains(sampler, energy, jnp.zeros((4, 2)))
        >>> states, info = one_step(sampler, chain_keys(jax.random.key(0), 4), 0, energy, chains.states)
        >>> states.x.shape, info.divergent.tolist()
        ((4, 2), [False, False, False, False])
    """
    return jax.vmap(lambda k, s, c: sampler.step(step_key(k, index), _closed(energy, c), s))(keys, states, cond)


def _init(sampler, energy, xs, cond):
    """One energy and gradient a chain: on a CPU, code of the plainest kind is made ten times as fast and runs once."""
    inside = isinstance(jnp.zeros(()), jax.core.Tracer)  # of a program that is compiled as a whole
    begin = _begin if inside or jax.default_backend() != "cpu" else _begin_at_once
    return begin(sampler, energy, xs, cond)


def _states(sampler, energy, xs, cond):
    return Chains(jax.vmap(lambda x, c: sampler.init(_closed(energy, c), x))(xs, cond))


_PLAIN: dict[str, Any] = {
    "compiler_options": {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
}
_begin, _begin_at_once = eqx.filter_jit(_states), eqx.filter_jit(_states, **_PLAIN)


@eqx.filter_jit
def _advance(sampler, key, energy, chains, num_steps, cond, chunk_size):
    def walk(keys, states, cond):
        states = refresh_all(sampler, energy, states, cond)
        return _run(sampler, keys, energy, states, jnp.array(0), num_steps, cond)

    def alone(chain):
        return jax.tree.map(lambda leaf: leaf[0], walk(*jax.tree.map(lambda leaf: leaf[None], chain)))

    rows = (chain_keys(key, num_chains(chains)), chains.states, cond)
    states, info = walk(*rows) if chunk_size is None else jax.lax.map(alone, rows, batch_size=chunk_size)
    return Chains(states), info


@eqx.filter_jit
def _sample(sampler, key, energy, chains, num_samples, thin, burn_in, cond):
    keys = chain_keys(key, num_chains(chains))
    states = refresh_all(sampler, energy, chains.states, cond)
    if burn_in:
        states, _ = _run(sampler, keys, energy, states, jnp.array(0), burn_in, cond)

    def record(states, index):
        states, info = _run(sampler, keys, energy, states, burn_in + index * thin, thin, cond)
        return states, (states.x, _energies(energy, states, cond), info.acceptance, info.divergent)

    states, draws = jax.lax.scan(record, states, jnp.arange(num_samples))
    return Chains(states), Draws(*jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), draws))


def _energies(energy, states, cond):
    """E at the recorded x: cached by the state, or else evaluated (an Info may tell the energy before the step)."""
    if hasattr(states, "energy"):
        return states.energy
    return jax.vmap(lambda x, c: _closed(energy, c)(x))(states.x, cond)


def refresh_all(sampler: AbstractSampler, energy: AbstractEnergy, states: Any, cond: Cond = None) -> Any:
    """Every chain's state with its cached numbers renewed under `energy`."""
    return jax.vmap(lambda s, c: sampler.refresh(_closed(energy, c), s))(states, cond)


def _run(sampler, keys, energy, states, first, num_steps, cond):
    """`num_steps` steps from step number `first` -> (states, info with acceptance averaged and divergent any)."""
    if num_steps == 1:  # no loop inside the loop over draws: less to compile
        states, info = one_step(sampler, keys, first, energy, states, cond)
        return states, info._replace(acceptance=_wide(info.acceptance))

    def body(carry, index):
        states, before = carry
        states, info = one_step(sampler, keys, index, energy, states, cond)
        # summed in float32 at least: a sum of ones in bfloat16 stops at 256
        accepted = before.acceptance + info.acceptance.astype(before.acceptance.dtype)
        total = info._replace(acceptance=accepted, divergent=before.divergent | info.divergent)
        return (states, total), None

    info = jax.eval_shape(lambda s: one_step(sampler, keys, first, energy, s, cond), states)[1]
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), info)
    zeros = zeros._replace(acceptance=_wide(zeros.acceptance))
    (states, info), _ = jax.lax.scan(body, (states, zeros), first + jnp.arange(num_steps))
    return states, info._replace(acceptance=info.acceptance / num_steps)


def _wide(acceptance):
    return acceptance if acceptance.dtype == jnp.float64 else acceptance.astype(jnp.float32)


def _closed(energy, cond):
    return energy if cond is None else energy.given(cond)


def _as_energy(owner, energy, cond) -> AbstractEnergy:
    if not isinstance(energy, AbstractEnergy):
        if not callable(energy):
            raise ValueError(f"{owner}: energy must be an AbstractEnergy or a function of one sample; got {energy!r}.")
        energy = FunctionEnergy(energy)
    if cond is not None and isinstance(energy, FunctionEnergy):
        raise ValueError(f"{owner}: cond must be None for a plain function of x; got one. Subclass AbstractEnergy.")
    return energy


def _num_rows(owner, xs) -> int:
    leaves = jax.tree.leaves(xs)
    if not leaves:
        raise ValueError(f"{owner}: xs must hold at least one array; got {xs!r}.")
    for leaf in leaves:
        checks.samples(owner, "xs", leaf)
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise ValueError(f"{owner}: xs must be floating point; got dtype {leaf.dtype}.")
        if leaf.shape[0] != leaves[0].shape[0]:
            raise ValueError(
                f"{owner}: every leaf of xs must hold as many chains; got {leaves[0].shape[0]} and {leaf.shape[0]}."
            )
    return leaves[0].shape[0]


def _check_cond(owner, cond, num) -> None:
    for leaf in jax.tree.leaves(cond):
        if not hasattr(leaf, "shape") or len(leaf.shape) < 1 or leaf.shape[0] != num:
            got = getattr(leaf, "shape", type(leaf).__name__)
            raise ValueError(f"{owner}: cond must hold one row a chain ({num}); got {got}.")


def _check_start(chains: Chains) -> None:
    energies = getattr(chains.states, "energy", None)
    if energies is None or isinstance(energies, jax.core.Tracer):
        return
    bad = np.flatnonzero(~np.isfinite(np.asarray(energies, dtype=np.float64)))
    if len(bad):
        raise ValueError(
            f"init_chains: the energy must be finite at every start; got {energies[bad[0]]} at chain {bad[0]}."
        )
