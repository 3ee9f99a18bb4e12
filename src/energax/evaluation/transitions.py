"""The exact transition matrix of any kernel on an enumerable target, found by running its step on all random decisions.

Source: Levin, Peres and Wilmer (2009), Markov chains and mixing times, chapter 1 (stationarity, reversibility,
    irreducibility); the matrix itself is read off the kernel's own program by `walk`.
What differs: nothing is asked of the kernel but its `step`, in any JAX code; all of it is done in double precision.
Cost: one row of every array for each (state, choice), at most 1e6 of them, and a compilation. Fails for a kernel with
continuous noise, which is refused in one sentence; roundings to single precision are not followed.
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from energax.core import AbstractEnergy, AbstractSampler, FunctionEnergy
from energax.numerics.random import chain_keys, step_key
from energax.samplers import AbstractSites

from .branches import MOST_BRANCHES, Branches, Rows
from .walk import Same, Walk

_DIGITS = 9  # two states are one where their arrays agree to 1e-9


class Transitions(NamedTuple):
    """What one step does.

    Attributes:
        matrix: [states, states]; entry (i, j) is the probability of the step from state i to state j.
        branches: How many (state, choice) pairs of positive probability there are.
        reused: One sentence for every key from which two draws were made: such a kernel is broken.
        stale: The largest difference between a number that the new state caches and the one that `refresh` computes.
    """

    matrix: np.ndarray
    branches: int
    reused: tuple[str, ...]
    stale: float


class Exactness(NamedTuple):
    """How far a transition matrix is from what was claimed.

    Attributes:
        rows: Largest |sum of a row - 1|.
        invariance: Largest |(pi P - pi)_j|.
        reversibility: Largest |pi_i P_ij - pi_j P_ji|.
        connected: Whether every state is reached from every other.
        total_variation: Half the sum of |stationary law - pi|; if not connected, of the law that pi flows to.
    """

    rows: float
    invariance: float
    reversibility: float
    connected: bool
    total_variation: float


def every_sample(sites: AbstractSites, like: PyTree) -> PyTree:
    """All samples of a few discrete sites, stacked, site 0 turning fastest.

    Args:
        sites: What values a site takes.
        like: One sample, for the structure; its values do not matter.

    Example:
        >>> from energax.samplers import SPINS
        >>> every_sample(SPINS, jnp.zeros(2)).tolist()
        [[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]]
    """
    states, num = sites.num_states(like), int(sites.codes(like).shape[0])
    if states**num > MOST_BRANCHES:
        raise ValueError(f"every_sample: the samples must number at most {MOST_BRANCHES}; got {states}^{num}.")
    codes = np.stack(np.unravel_index(np.arange(states**num), (states,) * num, order="F"), axis=1)
    return jax.vmap(lambda row: sites.embed(row, like))(jnp.asarray(codes, jnp.int32))


def transition_matrix(
    sampler: AbstractSampler,
    energy: AbstractEnergy | Callable,
    xs: PyTree,
    *,
    states: Any = None,
    label: Callable[[Any], Any] = lambda state: state.x,
    most: int = MOST_BRANCHES,
) -> Transitions:
    """The matrix of `sampler.step` over all listed states, exact to rounding in double precision.

    Args:
        sampler: Any kernel whose random numbers end in decisions.
        energy: The target's energy; it must work in double precision.
        xs: Every sample that the kernel may visit, stacked, as `every_sample` lists them.
        states: Every state, stacked, for a kernel whose state is more than its x (levels, replicas, turns); by default
            `sampler.init` at every x.
        label: The arrays of a state that say which state it is.
        most: Refuses more (state, choice) pairs than that.

    Raises:
        ContinuousNoise: A random number's value reaches the state.
        ValueError: The kernel leaves the listed states, draws in a way that cannot be followed, or branches too much.

    Example:
        >>> class Flip(AbstractSampler):
        ...     def init(self, energy, x):
        ...         return FlipState(x)
        ...     def refresh(self, energy, state):
        ...         return state
        ...     def step(self, key, energy, state):
        ...         ratio = energy(state.x) - energy(-state.x)
        ...         flip = jax.random.uniform(key) < jnp.exp(ratio)
        ...         return FlipState(jnp.where(flip, -state.x, state.x)), None
        >>> class FlipState(NamedTuple):
        ...     x: jax.Array
        >>> energy = lambda x: 0.5 * jnp.log(3.0) * jnp.sum(x)
        >>> found = transition_matrix(Flip(), energy, jnp.array([[-1.0], [1.0]]))
        >>> found.matrix.round(12).tolist()
        [[0.666666666667, 0.333333333333], [1.0, 0.0]]
    """
    if not callable(energy):
        raise ValueError(f"transition_matrix.energy must be an energy or a function of one sample; got {energy!r}.")
    if not isinstance(energy, AbstractEnergy):
        energy = FunctionEnergy(energy)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # a kernel's int32 beside the indices of double precision
        sampler, whole, xs, states = _wide((sampler, energy, xs, states))
        if states is None:
            states = jax.vmap(lambda x: sampler.init(whole, x))(xs)
        else:  # what they cache may be of single precision
            states = jax.vmap(lambda state: sampler.refresh(whole, state))(states)
        return _transitions(sampler, whole, states, label, most)


def exactness(matrix: np.ndarray, target: np.ndarray) -> Exactness:
    """Judges a transition matrix against the law that it should leave invariant.

    Args:
        matrix: [states, states].
        target: Probabilities [states].

    Raises:
        ValueError: Shapes do not fit.

    Example:
        >>> found = exactness(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([2 / 3, 1 / 3]))
        >>> found.connected, round(found.invariance, 12), round(found.total_variation, 12)
        (True, 0.0, 0.0)
    """
    if matrix.ndim != 2 or matrix.shape != target.shape * 2:
        raise ValueError(
            f"exactness.matrix must be [states, states] beside target [states]; got {matrix.shape} and {target.shape}."
        )
    flow = target[:, None] * matrix
    return Exactness(
        rows=float(np.abs(matrix.sum(1) - 1.0).max()),
        invariance=float(np.abs(target @ matrix - target).max()),
        reversibility=float(np.abs(flow - flow.T).max()),
        connected=_connected(matrix),
        total_variation=float(0.5 * np.abs(_stationary(matrix, target) - target).sum()),
    )


def energies(energy: AbstractEnergy | Callable, xs: PyTree) -> np.ndarray:
    """E(x) of every listed sample in double precision [nats]."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        energy, xs = _wide((energy, xs))
        return np.asarray(jax.vmap(energy)(xs), np.float64)


def probabilities(energy: AbstractEnergy | Callable, xs: PyTree) -> np.ndarray:
    """exp(-E(x)) / Z of every listed sample, in double precision.

    Raises:
        ValueError: `energy` is no function, or no sample is listed.

    Example:
        >>> probabilities(lambda x: jnp.sum(x), jnp.array([[0.0], [0.0]])).tolist()
        [0.5, 0.5]
    """
    if not callable(energy):
        raise ValueError(f"probabilities.energy must map one sample to a number; got {type(energy).__name__}.")
    if not all(np.size(leaf) for leaf in jax.tree.leaves(xs)) or not jax.tree.leaves(xs):
        raise ValueError("probabilities.xs must list at least one sample; got none.")
    values = energies(energy, xs)
    weights = np.exp(values.min() - values)
    return weights / weights.sum()


def _transitions(sampler, energy, states, label, most) -> Transitions:
    leaves, tree = jax.tree.flatten(states)
    count = leaves[0].shape[0]

    def step(key, *flat):
        return sampler.step(key, energy, jax.tree.unflatten(tree, flat))

    key = step_key(chain_keys(jax.random.key(0), 1)[0], 0)
    program, out = jax.make_jaxpr(step, return_shape=True)(key, *(leaf[0] for leaf in leaves))
    if any(jax.dtypes.issubdtype(const.dtype, jax.dtypes.prng_key) for const in program.consts):
        raise ValueError(
            "transition_matrix: a kernel must draw from the key of its step; got one with a key of its own."
        )
    new_leaves, new_tree = jax.tree.flatten(out[0])
    if str(new_tree) != str(tree):
        raise ValueError(f"transition_matrix: step must return a state like init's; got {new_tree} for {tree}.")
    branches = Branches(count, most)
    walk = Walk(branches)
    wanted = [True] * len(new_leaves) + [False] * (len(program.out_avals) - len(new_leaves))
    rows = [Rows(np.asarray(leaf), 0) for leaf in leaves]
    outs = walk.run(program.jaxpr, program.consts, [Same(key, True), *rows], wanted)[: len(new_leaves)]
    settled = [walk.settled(each) for each in outs]
    arrays = [np.broadcast_to(a, (branches.num, *a.shape[1:])) for a in map(walk.rows, settled)]
    new = jax.tree.unflatten(tree, arrays)
    index = _match(_labels(label, states), _labels(label, new))
    matrix = np.zeros((count, count))
    np.add.at(matrix, (branches.origin, index), branches.weight)
    return Transitions(matrix, branches.num, tuple(dict.fromkeys(walk.reused)), _stale(sampler, energy, new))


def _wide(tree: Any) -> Any:
    def widen(leaf):
        if eqx.is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf.astype(jnp.float64)
        return leaf

    return jax.tree.map(widen, tree)


def _labels(label: Callable, states: Any) -> np.ndarray:
    found = jax.tree.leaves(jax.vmap(label)(states))
    rows = [np.asarray(leaf, np.float64).reshape(len(leaf), -1) for leaf in found]
    return np.round(np.concatenate(rows, axis=1), _DIGITS) + 0.0  # no negative zeros


def _match(listed: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The listed state of every branch."""
    every, place = np.unique(np.concatenate([listed, found]), axis=0, return_inverse=True)
    place = place.reshape(-1)
    number = np.full(len(every), -1)
    number[place[: len(listed)]] = np.arange(len(listed))
    if len(np.unique(place[: len(listed)])) < len(listed):
        raise ValueError("transition_matrix: the states must differ in their labels; got two alike.")
    index = number[place[len(listed) :]]
    if np.any(index < 0):
        raise ValueError(
            "transition_matrix: every state that the step reaches must be listed; got one with the arrays "
            f"{found[index < 0][0].tolist()}."
        )
    return index


def _stale(sampler, energy, new) -> float:
    """The largest difference between a cached number and a fresh one."""
    fresh = jax.jit(jax.vmap(lambda state: sampler.refresh(energy, state)))
    worst = 0.0
    for start in range(0, len(jax.tree.leaves(new)[0]), 65536):
        part = jax.tree.map(lambda leaf, at=start: leaf[at : at + 65536], new)
        pairs = zip(jax.tree.leaves(part), jax.tree.leaves(fresh(part)), strict=True)
        for old, now in pairs:
            if jnp.issubdtype(old.dtype, jnp.floating):
                apart = np.abs(np.asarray(old, np.float64) - np.asarray(now, np.float64))
                worst = max(worst, float(np.max(np.where(old == np.asarray(now), 0.0, apart), initial=0.0)))
    return worst


def _connected(matrix: np.ndarray) -> bool:
    from scipy.sparse.csgraph import connected_components

    return int(connected_components(matrix > 0.0, directed=True, connection="strong")[0]) == 1


def _stationary(matrix: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The law that the target flows to under ever more steps (an average of two, so that a cycle settles too)."""
    power, law = 0.5 * (matrix + np.eye(len(matrix))), target
    for _ in range(60):
        law, power = law @ power, power @ power
        power /= power.sum(1, keepdims=True)
    return law / law.sum()
