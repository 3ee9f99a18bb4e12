"""How a kernel of either kind enters a weight: what a move of the chains gains, forwards and backwards.

Source: Del Moral, Doucet and Jasra (2006), Sequential Monte Carlo samplers, doi:10.1111/j.1467-9868.2006.00553.x,
section 3.3; the mirror image: Crooks (1999), doi:10.1103/PhysRevE.60.2721, eqs (1)-(5).
Leaves E[exp(gained)] right for every kernel: an invariant sampler gains E_here(x) - E_there(x) before its move, a pair
E_here(x) - E_there(y) + log B(y -> x) - log T(x -> y) after it. Cost: one energy at each end, and the kernel's own.
Fails: nothing is refused here; the doors are those of smc.py and jarzynski.py.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from energax.core import AbstractEnergy, AbstractPath, AbstractSampler, Chains, Key, X
from energax.numerics.random import chain_keys, step_key
from energax.samplers import advance, init_chains
from energax.samplers.pairs import AbstractPair, Kernel, PairStep

from .ais import add_work, level, work
from .pilot import at_step_size


class Move(NamedTuple):
    """Chains after a move, the log weight it gained each [chains], its mean acceptance."""

    chains: Chains
    gained: Float[Array, " chains"]
    acceptance: Scalar


def enter(kernel: Kernel, energy: AbstractEnergy, xs: X) -> Chains:
    """Chains at `xs` (chains on axis 0); a pair keeps nothing but the positions."""
    if isinstance(kernel, AbstractPair):
        return Chains(_At(xs))
    return init_chains(kernel, energy, xs)


class _At(NamedTuple):
    x: X


def with_step(kernel: Kernel, step_sizes: Float[Array, " moves"] | None, k: Any) -> Any:
    """The kernel with the step size of move `k`, or as it is."""
    if isinstance(kernel, AbstractSampler):
        return at_step_size(kernel, step_sizes, k)
    return kernel if step_sizes is None else eqx.tree_at(lambda pair: pair.step_size, kernel, step_sizes[k])


def gain_before(kernel: Kernel, path: AbstractPath, here: Scalar, there: Scalar, xs: X) -> Float[Array, " chains"]:
    """The log weight gained by going to `there` that is known before the move: all of it, or nothing for a pair."""
    gained = work(path, here, there, xs)
    return jnp.zeros_like(gained) if isinstance(kernel, AbstractPair) else gained


def move(
    key: Key, kernel: Kernel, path: AbstractPath, here: Scalar, there: Scalar, chains: Chains, num_steps: int
) -> Move:
    """`num_steps` steps at `there` of chains that stand for `here`, and the log weight gained by them.

    Nothing for a sampler, whose gain came before the move.
    """
    if isinstance(kernel, AbstractSampler):
        chains, info = advance(key, kernel, path.at(there), chains, num_steps)
        acceptance = jnp.mean(info.acceptance)
        return Move(chains, jnp.zeros(info.acceptance.shape, here.dtype), acceptance)
    return _pair_move(key, kernel, path, (here, there), path.at(there), chains.states.x, num_steps)


def move_back(
    key: Key, kernel: Kernel, path: AbstractPath, here: Scalar, there: Scalar, chains: Chains, num_steps: int
) -> Move:
    """The mirror image: steps at `there` of chains that stand for it, and the log weight of then going to `here`."""
    if isinstance(kernel, AbstractSampler):
        chains, info = advance(key, kernel, path.at(there), chains, num_steps)
        return Move(chains, work(path, there, here, chains.states.x), jnp.mean(info.acceptance))
    return _pair_move(key, kernel.reversed(), path, (there, here), path.at(there), chains.states.x, num_steps)


def _pair_move(
    key: Key,
    pair: AbstractPair,
    path: AbstractPath,
    ends: tuple[Scalar, Scalar],
    energy: AbstractEnergy,
    xs: X,
    num_steps: int,
) -> Move:
    """Steps by a pair under `energy` of chains that stand for the first of `ends` and shall stand for the second."""
    ys, ratio = _walk(key, pair, energy, xs, num_steps)
    gained = pair_gain(path, *ends, xs, ys, ratio)
    return Move(Chains(_At(ys)), gained, jnp.ones((), gained.dtype))


def pair_gain(
    path: AbstractPath, here: Scalar, there: Scalar, xs: X, ys: X, log_ratio: Float[Array, " chains"]
) -> Float[Array, " chains"]:
    """E_here(x) - E_there(y) + log B(y -> x) - log T(x -> y) of every chain, nats."""
    before = jax.vmap(lambda x: level(path, here, x))(xs)
    after = jax.vmap(lambda y: level(path, there, y))(ys)
    # outside the support the weight is 0, whatever a gradient may be there
    return jnp.where(after == jnp.inf, -jnp.inf, before - after + log_ratio.astype(before.dtype))


def _walk(key: Key, pair: AbstractPair, energy: AbstractEnergy, xs: X, num_steps: int) -> PairStep:
    """Steps of every chain by the pair, their log ratios summed."""
    keys = chain_keys(key, jax.tree.leaves(xs)[0].shape[0])

    def body(carry, index):
        xs, total = carry
        new = jax.vmap(lambda k, x: pair.step(step_key(k, index), energy, x))(keys, xs)
        return (new.x, add_work(total, new.log_ratio.astype(total.dtype))), None

    first = jax.eval_shape(lambda x: jax.vmap(energy)(x), xs)
    (ys, total), _ = jax.lax.scan(body, (xs, jnp.zeros(first.shape, first.dtype)), jnp.arange(num_steps))
    return PairStep(ys, total)
