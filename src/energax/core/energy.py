"""What an energy is: one sample to one number, with p(x) proportional to exp(-E(x)), and its algebra.

Low energy is likely. `x` is one sample, never a batch: `jax.vmap(energy)` where the batch lives.
"""

import abc
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from . import checks
from .types import Cond, Key, X


class AbstractEnergy(eqx.Module):
    """A scalar function of one sample. `a + b` is the product of experts, `beta * a` the tempered density.

    Attributes:
        conditional: Whether E(x | cond) can differ from E(x). One that says no ignores what it is called with, so that
            it can stand in a sum with one that does not, and refuses to be closed over anything.
    """

    conditional: ClassVar[bool] = True

    @abc.abstractmethod
    def __call__(self, x: X, cond: Cond = None) -> Scalar:
        """E(x), or E(x | cond), in nats."""

    def given(self, cond: Cond) -> "AbstractEnergy":
        """The energy of x alone with `cond` closed over: samplers never hear of conditions.

        A bipartite energy that takes them overrides this, so that what is closed is bipartite again.

        Raises:
            ValueError: A condition is given to an energy that takes none.
        """
        if cond is not None and not self.conditional:
            raise ValueError(
                f"{type(self).__name__}.given: cond must be None, since this energy takes no condition; got one "
                f"of shape {jax.tree.map(jnp.shape, cond)}."
            )
        return Conditioned(self, cond)

    def __add__(self, other: "AbstractEnergy") -> "Sum":
        if not isinstance(other, AbstractEnergy):
            return NotImplemented
        return Sum((self, other))

    def __rmul__(self, beta: float | Scalar) -> "Tempered":
        return Tempered(self, beta)


class Conditioned(AbstractEnergy):
    """E(. | cond) as an energy of x alone."""

    conditional: ClassVar[bool] = False
    base: AbstractEnergy
    cond: Cond

    def __call__(self, x: X, cond: Cond = None) -> Scalar:
        if cond is not None:
            raise ValueError(
                "Conditioned: cond must be None, since the energy is already closed over a condition; got another one."
            )
        return self.base(x, self.cond)


class Sum(AbstractEnergy):
    """Product of experts: E(x) = sum_i E_i(x)."""

    terms: tuple[AbstractEnergy, ...]

    @property
    def conditional(self) -> bool:  # type: ignore[override]
        """Whether one of the terms is."""
        return any(term.conditional for term in self.terms)

    def __call__(self, x: X, cond: Cond = None) -> Scalar:
        total = self.terms[0](x, cond)
        for term in self.terms[1:]:
            total = total + term(x, cond)
        return total


class Tempered(AbstractEnergy):
    """beta * E: the density p ** beta, up to its normaliser.

    Args:
        base: The energy at beta = 1.
        beta: Inverse temperature, >= 0 (0 is the flat end of a path).

    Raises:
        ValueError: `beta` is negative or not finite.
    """

    base: AbstractEnergy
    beta: float | Scalar

    def __check_init__(self):
        checks.non_negative("Tempered", "beta", self.beta)

    @property
    def conditional(self) -> bool:  # type: ignore[override]
        """Whether the base is."""
        return self.base.conditional

    def __call__(self, x: X, cond: Cond = None) -> Scalar:
        return self.beta * self.base(x, cond)


class FunctionEnergy(AbstractEnergy):
    """A plain function of x read as an energy, so that the algebra applies to it.

    Args:
        function: Maps one sample to a scalar; a pytree of parameters inside it (an Equinox module) stays trainable.
    """

    conditional: ClassVar[bool] = False
    function: Callable[[Any], Scalar]

    def __call__(self, x: X, cond: Cond = None) -> Scalar:
        return self.function(x)


class AbstractLatticeEnergy(AbstractEnergy):
    """An energy of discrete sites, with what Gibbs and informed samplers ask for."""

    @abc.abstractmethod
    def local_field(self, x: X) -> Array:
        """For spins in {-1, +1}: h_i with E(x) = -h_i x_i + (terms without x_i), for every site at once."""

    @abc.abstractmethod
    def conditional_logits(self, x: X, site: Array) -> Float[Array, " states"]:
        """Logits of p(x_site | the rest) over the site's states."""


class AbstractBipartiteEnergy(AbstractEnergy):
    """An energy of visible and hidden units whose layers are independent given each other; as an energy of the visible
    units alone, `energy(v)` is `free_energy(v)`."""

    @abc.abstractmethod
    def joint(self, v: Array, h: Array) -> Scalar:
        """E(v, h) in nats."""

    @abc.abstractmethod
    def hidden_given(self, v: Array) -> Array:
        """Natural parameters of p(h | v)."""

    @abc.abstractmethod
    def visible_given(self, h: Array) -> Array:
        """Natural parameters of p(v | h)."""

    @abc.abstractmethod
    def sample_hidden(self, key: Key, v: Array) -> Array:
        """One exact draw of all hidden units given the visible ones."""

    @abc.abstractmethod
    def sample_visible(self, key: Key, h: Array) -> Array:
        """One exact draw of all visible units given the hidden ones."""

    @abc.abstractmethod
    def free_energy(self, v: Array) -> Scalar:
        """-log sum_h exp(-E(v, h))."""

    @abc.abstractmethod
    def at_beta(self, beta: float | Scalar) -> "AbstractBipartiteEnergy":
        """The model whose JOINT energy is beta E(v, h): again bipartite, and not `beta * energy`, whose free energy is
        beta F(v)."""


class AbstractClassifierEnergy(AbstractEnergy):
    """An energy read off the logits of a classifier: E(x) = -logsumexp_y f_y(x), E(x, y) = -f_y(x)."""

    @abc.abstractmethod
    def logits(self, x: X) -> Float[Array, " classes"]:
        """f_y(x) for every class y."""


def score(energy: Callable[[X], Scalar], x: X) -> X:
    """grad_x log p(x) = -grad_x E(x) at one sample."""
    return jax.tree.map(jnp.negative, jax.grad(energy)(x))


def freeze(tree: Any) -> Any:
    """The same values with no gradient through them: what a chain sees while it walks."""
    return jax.tree.map(lambda leaf: jax.lax.stop_gradient(leaf) if eqx.is_inexact_array(leaf) else leaf, tree)
