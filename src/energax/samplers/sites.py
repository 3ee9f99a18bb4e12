"""What values the sites of a discrete sample may take, and how samplers read and write them.

Source: the one-step differences of Grathwohl et al. (2021), Oops I took a gradient, arXiv:2102.04509, eqs (2) to (4),
    for binary and one-hot sites, which are exact where the energy is linear in every site (Ising, Potts, Boltzmann).
What differs: one interface serves both, so that a discrete kernel is written once. A sample is any pytree of FLOATING
arrays: spins in {-1, +1}, bits in {0, 1}, or categories as one-hot vectors on the last axis. Floating, since informed
kernels differentiate the energy and sweeps are products of floats; `codes` are the integers.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from energax.core import AbstractEnergy, X


class AbstractSites(eqx.Module):
    """The values of every site. States are numbered 0 .. num_states - 1; sites run through the leaves of x."""

    @abc.abstractmethod
    def num_states(self, x: X) -> int:
        """How many states every site has."""

    @abc.abstractmethod
    def codes(self, x: X) -> Int[Array, " sites"]:
        """The state that every site is in."""

    @abc.abstractmethod
    def embed(self, codes: Int[Array, " sites"], like: X) -> X:
        """The sample whose sites are in the states `codes`, in the structure and types of `like`."""

    @abc.abstractmethod
    def logits(self, x: X, gradient: X) -> Float[Array, "sites states"]:
        """-(E(x with one site set to a state) - E(x)) to first order in that change, 0 at the present state."""

    @abc.abstractmethod
    def squared_steps(self, x: X) -> Float[Array, "sites states"]:
        """|new value - present value|^2 of a site that is set to a state, in squared units of x."""


class Binary(AbstractSites):
    """Two values a site: `SPINS` are -1 and +1, `BITS` are 0 and 1.

    Args:
        low: Value of state 0.
        high: Value of state 1.

    Example:
        >>> SPINS.codes(jnp.array([1.0, -1.0])).tolist()
        [1, 0]
        >>> (0.0 + SPINS.logits(jnp.array([1.0, -1.0]), jnp.array([0.5, 0.5]))).tolist()
        [[1.0, 0.0], [0.0, -1.0]]
    """

    low: float = eqx.field(static=True)
    high: float = eqx.field(static=True)

    def num_states(self, x: X) -> int:
        return 2

    def codes(self, x: X) -> Int[Array, " sites"]:
        return (ravel_pytree(x)[0] > 0.5 * (self.low + self.high)).astype(jnp.int32)

    def embed(self, codes: Int[Array, " sites"], like: X) -> X:
        flat, restore = ravel_pytree(like)
        return restore(jnp.where(codes > 0, self.high, self.low).astype(flat.dtype))

    def logits(self, x: X, gradient: X) -> Float[Array, "sites states"]:
        flat, slope = ravel_pytree(x)[0], ravel_pytree(gradient)[0]
        values = jnp.array([self.low, self.high], flat.dtype)
        return -slope[:, None] * (values[None, :] - flat[:, None])

    def squared_steps(self, x: X) -> Float[Array, "sites states"]:
        flat = ravel_pytree(x)[0]
        return (jnp.array([self.low, self.high], flat.dtype)[None, :] - flat[:, None]) ** 2


class OneHot(AbstractSites):
    """Categories: the last axis of every leaf is the one-hot vector of a site; all leaves have as many states.

    Example:
        >>> x = jax.nn.one_hot(jnp.array([2, 0]), 3)
        >>> CATEGORIES.codes(x).tolist(), CATEGORIES.num_states(x)
        ([2, 0], 3)
    """

    def num_states(self, x: X) -> int:
        return int(jax.tree.leaves(x)[0].shape[-1])

    def codes(self, x: X) -> Int[Array, " sites"]:
        rows = ravel_pytree(x)[0].reshape(-1, self.num_states(x))
        return jnp.argmax(rows, axis=-1).astype(jnp.int32)

    def embed(self, codes: Int[Array, " sites"], like: X) -> X:
        flat, restore = ravel_pytree(like)
        return restore(jax.nn.one_hot(codes, self.num_states(like), dtype=flat.dtype).reshape(-1))

    def logits(self, x: X, gradient: X) -> Float[Array, "sites states"]:
        states = self.num_states(x)
        rows, slope = ravel_pytree(x)[0].reshape(-1, states), ravel_pytree(gradient)[0].reshape(-1, states)
        return -(slope - jnp.sum(slope * rows, axis=-1, keepdims=True))

    def squared_steps(self, x: X) -> Float[Array, "sites states"]:
        return 2.0 * (1.0 - ravel_pytree(x)[0].reshape(-1, self.num_states(x)))


SPINS = Binary(-1.0, 1.0)
"""Sites in {-1, +1}."""
BITS = Binary(0.0, 1.0)
"""Sites in {0, 1}."""
CATEGORIES = OneHot()
"""Sites as one-hot vectors."""


def check_sites(owner: str, sites: Any) -> None:
    """Raises ValueError unless `sites` is one of `SPINS`, `BITS`, `CATEGORIES` or another `AbstractSites`."""
    if not isinstance(sites, AbstractSites):
        raise ValueError(f"{owner}.sites must be SPINS, BITS, CATEGORIES or another AbstractSites; got {sites!r}.")


def check_rows(owner: str, sites: AbstractSites, xs: X) -> None:
    """Raises ValueError unless every entry of the rows of `xs` is a value that a site has; traced rows pass."""
    known = jax.vmap(lambda x: sites.embed(sites.codes(x), x))(xs)
    leaves, wanted = jax.tree.leaves(xs), jax.tree.leaves(known)
    if any(isinstance(leaf, jax.core.Tracer) for leaf in wanted):
        return
    for leaf, want in zip(leaves, wanted, strict=True):
        wrong = np.asarray(leaf) != np.asarray(want)
        if wrong.any():
            what = f"{type(sites).__name__} sites" + (
                f", {sites.low:g} or {sites.high:g}" if type(sites) is Binary else ""
            )
            raise ValueError(f"{owner}: batch['x'] must hold values of {what}; got {np.asarray(leaf)[wrong][0]:g}.")


def other_energies(
    energy: AbstractEnergy, sites: AbstractSites, codes: Int[Array, " sites"], site: Int[Array, ""], like: X
) -> tuple[Int[Array, " others"], Float[Array, " others"]]:
    """The states that one site is not in, and the energy of the sample with the site set to each of them.

    For ANY energy: nothing but its value is asked, `num_states - 1` times.
    """
    states = sites.num_states(like)
    others = (codes[site] + jnp.arange(1, states, dtype=codes.dtype)) % states
    return others, jax.vmap(lambda state: energy(sites.embed(codes.at[site].set(state), like)))(others)
