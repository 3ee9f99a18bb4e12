"""Learned Stein discrepancy: a critic looks for the direction in which the model's score is wrong.

Source: Grathwohl, Wang, Jacobsen, Duvenaud and Zemel (2020), Learning the Stein discrepancy for training and
    evaluating energy-based models without sampling, arXiv:2002.05616, eqs. (6) to (8). What differs: energy and critic
    are two players of one model, each with a phase and an optimiser of its own; the divergence is sliced by signs.
Estimates, with the best critic f = (s_model - s_data) / (2 penalty), the Fisher divergence over 4 penalty:
E_data |s_model - s_data|^2 / (4 penalty), s = -grad E. Cost: one gradient of the energy, and one derivative of the
critic a sample and slice, differentiated once more in the parameters; no chain.
Fails as `ScoreMatching` does on mode masses; a critic that lags behind points nowhere: give it several phases a step,
or a faster optimiser.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree, Scalar

from energax.core import AbstractObjective, Batch, Key, Metrics, X, checks, score
from energax.numerics.microbatch import mean_in_chunks
from energax.numerics.tree import dot, squared_norm

from .negatives import check_energy
from .sliced import draw_directions


class SteinPair(eqx.Module):
    """An energy and its critic: the model of a trainer with two phases.

    Args:
        energy: The energy.
        critic: Maps one sample to a vector in its shape; it starts best at zero.

    Example:
        >>> pair = SteinPair(lambda x: 0.5 * jnp.sum(x**2), lambda x: 0.0 * x)
        >>> float(pair.energy(jnp.ones(2)))
        1.0
    """

    energy: Any
    critic: Callable[[X], X]


class LearnedStein(AbstractObjective):
    """E_data [s(x) . f(x) + div f(x)]: what the energy makes small, `trains=lambda m: m.energy`.

    Carries no state. Metrics: `critic_norm`, the mean of |f| at the data.

    Args:
        num_slices: Directions a sample for the divergence, >= 1.
        chunk_size: Rows whose gradient is taken at a time, >= 1; None takes all.

    Raises:
        ValueError: A field is outside its range, or the model is no `SteinPair`.

    Example:
        >>> from energax.energies import standard_normal
        >>> pair = SteinPair(standard_normal(2), lambda x: x)
        >>> loss, _ = LearnedStein()(jax.random.key(0), pair, None, {"x": jnp.ones((4, 2))})
        >>> float(loss)  # -|x|^2 + 2
        0.0
    """

    num_slices: int = 1
    chunk_size: int | None = None

    def __check_init__(self):
        checks.count("LearnedStein", "num_slices", self.num_slices)
        if self.chunk_size is not None:
            checks.count("LearnedStein", "chunk_size", self.chunk_size)

    def init(self, key: Key, model: Any, batch: Batch) -> None:
        """Nothing is carried; refuses a model that is no pair of an energy and a critic of one row of `batch["x"]`."""
        check_pair("LearnedStein", model, batch["x"])

    def __call__(self, key: Key, model: SteinPair, state: None, batch: Batch) -> tuple[Scalar, tuple[None, Metrics]]:
        slices = draw_directions(key, batch["x"], self.num_slices, "signs")
        loss, squared = mean_in_chunks(stein, model, (batch["x"], slices), self.chunk_size)
        return loss, (None, {"critic_norm": jnp.sqrt(squared)})


class LearnedSteinCritic(AbstractObjective):
    """penalty E |f|^2 - E_data [s(x) . f(x) + div f(x)]: what the critic makes small, `trains=lambda m: m.critic`.

    Carries no state. Metrics: `discrepancy`, the bracket; with the best critic half of it is penalty E |f|^2.

    Args:
        penalty: Weight of the critic's size, > 0.
        num_slices: Directions a sample for the divergence, >= 1.
        chunk_size: Rows whose gradient is taken at a time, >= 1; None takes all.

    Raises:
        ValueError: A field is outside its range, or the model is no `SteinPair`.

    Example:
        >>> from energax.energies import standard_normal
        >>> pair = SteinPair(standard_normal(2), lambda x: x)
        >>> loss, _ = LearnedSteinCritic(1.0)(jax.random.key(0), pair, None, {"x": jnp.ones((4, 2))})
        >>> float(loss)
        2.0
    """

    penalty: float = 1.0
    num_slices: int = 1
    chunk_size: int | None = None

    def __check_init__(self):
        checks.positive("LearnedSteinCritic", "penalty", self.penalty)
        checks.count("LearnedSteinCritic", "num_slices", self.num_slices)
        if self.chunk_size is not None:
            checks.count("LearnedSteinCritic", "chunk_size", self.chunk_size)

    def init(self, key: Key, model: Any, batch: Batch) -> None:
        """Nothing is carried; refuses a model that is no pair of an energy and a critic of one row of `batch["x"]`."""
        check_pair("LearnedSteinCritic", model, batch["x"])

    def __call__(self, key: Key, model: SteinPair, state: None, batch: Batch) -> tuple[Scalar, tuple[None, Metrics]]:
        slices = draw_directions(key, batch["x"], self.num_slices, "signs")

        def one(pair: SteinPair, row: tuple[X, PyTree]) -> tuple[Scalar, Scalar]:
            value, squared = stein(pair, row)
            return self.penalty * squared - value, value

        loss, value = mean_in_chunks(one, model, (batch["x"], slices), self.chunk_size)
        return loss, (None, {"discrepancy": value})


def stein(pair: SteinPair, row: tuple[X, PyTree]) -> tuple[Scalar, Scalar]:
    """s(x) . f(x) + div f(x) for one sample and its directions, and |f(x)|^2."""
    x, slices = row
    away = pair.critic(x)
    divergence = jax.vmap(lambda v: dot(v, jax.jvp(pair.critic, (x,), (v,))[1]))(slices)
    return dot(score(pair.energy, x), away) + jnp.mean(divergence), squared_norm(away)


def check_pair(owner: str, model: Any, xs: PyTree) -> None:
    """Raises ValueError unless the model is an energy of one row and a critic that answers in its shape."""
    if not isinstance(model, SteinPair):
        raise ValueError(f"{owner}: model must be a SteinPair; got {type(model).__name__}.")
    check_energy(owner, model.energy, xs)
    row = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), xs)
    got, want = (jax.tree.map(lambda leaf: leaf.shape, tree) for tree in (jax.eval_shape(model.critic, row), row))
    if got != want:
        raise ValueError(f"{owner}: critic must answer in the shape of x, {want}; got {got}.")
