"""The replay buffer of persistent training: walkers that rest between the turns in which they are drawn.

Source: Tieleman (2008), doi:10.1145/1390156.1390290 (persistent chains); Du and Mordatch (2019), arXiv:1903.08689,
    sec. 3.1 (a buffer larger than a batch, a fraction restarted).
What differs: rows are written back to the slots they were drawn from, a draw holds no slot twice, a restarted row is
    truly fresh, ages are kept, and a row that is not finite never enters the buffer.
Estimates nothing by itself. Cost: one gather and one scatter a turn; a pass where all rows are drawn.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PyTree, Scalar

from energax.core import Chains, Key, X, checks
from energax.numerics.tree import where_rows


class Restarted(NamedTuple):
    """Rows after a restart: samples, their ages, and which ones are fresh."""

    xs: X
    ages: Int[Array, " chains"]
    fresh: Bool[Array, " chains"]


class ReplayBuffer(eqx.Module):
    """Samples and their ages (in turns), both under `Chains`: axis 0 counts slots.

    Example:
        >>> buffer = ReplayBuffer.create(jnp.zeros((8, 2)))
        >>> slots, xs, ages = buffer.draw(jax.random.key(0), 4)
        >>> buffer, evicted = buffer.write(slots, xs + 1.0, ages)
        >>> int((buffer.samples.states[:, 0] == 1.0).sum()), int(evicted)
        (4, 0)
    """

    samples: Chains
    ages: Chains

    @classmethod
    def create(cls, xs: PyTree[Array]) -> "ReplayBuffer":
        """A buffer that starts as `xs`, one slot a row, age 0.

        Raises:
            ValueError: `xs` is no stack of finite samples, or its leaves disagree on the number of rows.
        """
        leaves = jax.tree.leaves(xs)
        if not leaves:
            raise ValueError(f"ReplayBuffer.create: xs must hold at least one array; got {xs!r}.")
        for leaf in leaves:
            checks.samples("ReplayBuffer.create", "xs", leaf)
            if leaf.shape[0] != leaves[0].shape[0]:
                rows = f"{leaves[0].shape[0]} and {leaf.shape[0]}"
                raise ValueError(f"ReplayBuffer.create: every leaf of xs must hold as many rows; got {rows}.")
        return cls(Chains(xs), Chains(jnp.zeros(leaves[0].shape[0], jnp.int32)))

    @property
    def size(self) -> int:
        """How many slots there are."""
        return int(self.ages.states.shape[0])

    def draw(self, key: Key, num: int) -> tuple[Int[Array | np.ndarray, " chains"], X, Int[Array, " chains"]]:
        """`num` different slots, uniformly -> (slots, samples, ages). All of them, in order, where `num` is the size.

        Raises:
            ValueError: `num` is not an integer in [1, size].
        """
        checks.count("ReplayBuffer.draw", "num", num)
        if num > self.size:
            raise ValueError(f"ReplayBuffer.draw.num must be <= the buffer's size {self.size}; got {num}.")
        if num == self.size:  # a NumPy array, by which `write` knows that nothing need be gathered and scattered
            return np.arange(num), self.samples.states, self.ages.states
        slots = jax.random.choice(key, jnp.arange(self.size), (num,), replace=False)
        return slots, jax.tree.map(lambda leaf: leaf[slots], self.samples.states), self.ages.states[slots]

    @staticmethod
    def restart(key: Key, xs: X, ages: Int[Array, " chains"], fresh: X, rate: float | Scalar) -> Restarted:
        """Replaces each row by the matching row of `fresh` with probability `rate`, age 0: a true re-initialisation.

        Args:
            key: One typed key; it is used up.
            xs: Rows drawn from a buffer.
            ages: Their ages.
            fresh: As many new rows (from the base density, from the data).
            rate: Probability in [0, 1].

        Raises:
            ValueError: `rate` is a number outside [0, 1].
        """
        if isinstance(rate, (int, float)) and not 0.0 <= rate <= 1.0:
            raise ValueError(f"ReplayBuffer.restart.rate must lie in [0, 1]; got {rate}.")
        take = jax.random.bernoulli(key, rate, ages.shape)
        return Restarted(where_rows(take, fresh, xs), jnp.where(take, jnp.zeros_like(ages), ages), take)

    def write(
        self, slots: Int[Array | np.ndarray, " chains"], xs: X, ages: Int[Array, " chains"], num_turns: int = 1
    ) -> tuple["ReplayBuffer", Int[Array, ""]]:
        """Puts rows back into the slots they came from, `num_turns` older.

        A row with a non-finite entry is evicted: its slot keeps the sample and the age it had, which are finite since
        only finite rows ever enter.

        Returns:
            The buffer, and how many rows were evicted.
        """
        good = finite_rows(xs)
        if isinstance(slots, np.ndarray) and np.array_equal(slots, np.arange(self.size)):
            samples = where_rows(good, xs, self.samples.states)
            kept = jnp.where(good, ages + num_turns, self.ages.states)
            return ReplayBuffer(Chains(samples), Chains(kept)), jnp.sum(~good)
        held = jax.tree.map(lambda leaf: leaf[slots], self.samples.states)
        rows = where_rows(good, xs, held)
        samples = jax.tree.map(lambda leaf, new: leaf.at[slots].set(new), self.samples.states, rows)
        kept = self.ages.states.at[slots].set(jnp.where(good, ages + num_turns, self.ages.states[slots]))
        return ReplayBuffer(Chains(samples), Chains(kept)), jnp.sum(~good)


def finite_rows(xs: PyTree[Array]) -> Bool[Array, " chains"]:
    """Which rows hold no infinity and no NaN in any leaf.

    Example:
        >>> finite_rows({"x": jnp.array([[0.0, 1.0], [jnp.nan, 1.0], [1.0, jnp.inf]])}).tolist()
        [True, False, False]
    """
    leaves = jax.tree.leaves(xs)
    good = jnp.ones(leaves[0].shape[0], bool)
    for leaf in leaves:
        if jnp.issubdtype(leaf.dtype, jnp.inexact):
            good = good & jnp.all(jnp.isfinite(leaf), axis=tuple(range(1, leaf.ndim)))
    return good
