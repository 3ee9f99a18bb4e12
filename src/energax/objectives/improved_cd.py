"""Improved contrastive divergence: the term that CD leaves out, through the walkers' next step, and their entropy.

Source: Du, Li, Tenenbaum and Mordatch (2021), Improved contrastive divergence training of energy based models,
    arXiv:2012.01316, eqs. (5), (7) and (8); the entropy is that of Kozachenko and Leonenko (1987), Sample estimate of
    the entropy of a random vector, Problems of Information Transmission 23, 95-101.
What differs: the step through which the gradient goes is one that comes after the negatives', from walkers of the
    buffer; the entropy is in nats, with the factor dim that the released code leaves to its weight; data augmentation
    and energies at several scales are left to the data and to the model.
Estimates, with both weights 1, the gradient of KL(data || model) - KL(walkers || model) with the walkers' own answer to
the parameters, over one step. Cost: that of `PersistentCD`, one gradient of the energy a sample differentiated once
more in the parameters, and num_samples times buffer_size distances.
Fails in many dimensions, where the nearest neighbour says little about the entropy, and in one or two, where the
gradient of the logarithm of its distance has no mean or no variance; a walker that stands on another one
has an infinite term (the step is then refused). Needs a sampler whose step can be differentiated: ULA; a kernel with a
test, or of discrete states, is refused, since no gradient goes through its choices.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree, Scalar

from energax.core import AbstractEnergy, AbstractObjective, Batch, Key, Metrics, checks, freeze
from energax.numerics.random import chain_keys

from .persistent import PersistentCD, PersistentState


class ImprovedCD(AbstractObjective):
    """The loss of `negatives`, plus kl_weight * mean E'(x(theta)) - entropy_weight * H(x(theta)).

    x(theta) is one step of the sampler under the live model from a walker of the buffer, E' the energy with its
    parameters held. Metrics: those of `negatives`, `kl_energy` (the mean of E' there) and `entropy` [nats].

    Args:
        negatives: The rule whose gap and walkers are used; its buffer should be larger than `num_samples`.
        num_samples: Walkers through whose step the gradient goes, >= 1, at most those of the buffer.
        kl_weight: >= 0.
        entropy_weight: >= 0; 1 goes with a kl_weight of 1.

    Raises:
        ValueError: A field is outside its range, or the sampler's step ends in a test or draws states.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> from energax.samplers import ULA
        >>> rule = ImprovedCD(PersistentCD(ULA(0.01), num_steps=5, num_chains=16), num_samples=8)
        >>> energy, batch = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2)), {"x": jnp.ones((8, 2))}
        >>> state = rule.init(jax.random.key(0), energy, batch)
        >>> loss, (state, metrics) = rule(jax.random.key(1), energy, state, batch)
        >>> 1.0 < float(metrics["entropy"]) < 5.0  # that of a standard normal in the plane is 2.84
        True
    """

    negatives: PersistentCD
    num_samples: int
    kl_weight: float = 1.0
    entropy_weight: float = 1.0

    def __check_init__(self):
        checks.count("ImprovedCD", "num_samples", self.num_samples)
        if self.negatives.sampler.exact:
            got = type(self.negatives.sampler).__name__
            raise ValueError(
                f"ImprovedCD.negatives must walk by steps that can be differentiated, with no test, as ULA; got {got}."
            )
        size = self.negatives.num_chains if self.negatives.buffer_size is None else self.negatives.buffer_size
        if self.num_samples > size:
            raise ValueError(f"ImprovedCD.num_samples must be <= the walkers, {size}; got {self.num_samples}.")
        if size < 2:
            raise ValueError(f"ImprovedCD.negatives must hold two walkers or more, to be neighbours; got {size}.")
        checks.non_negative("ImprovedCD", "kl_weight", self.kl_weight)
        checks.non_negative("ImprovedCD", "entropy_weight", self.entropy_weight)

    def init(self, key: Key, model: Any, batch: Batch) -> PersistentState:
        """The walkers of `negatives`."""
        return self.negatives.init(key, model, batch)

    def __call__(
        self, key: Key, model: AbstractEnergy, state: PersistentState, batch: Batch
    ) -> tuple[Scalar, tuple[PersistentState, Metrics]]:
        first, draw, last = jax.random.split(key, 3)
        gap, (state, metrics) = self.negatives(first, model, state, batch)
        slots, xs, _ = state.buffer.draw(draw, self.num_samples)
        ends = self.step(last, model, state, xs)
        energy = jnp.mean(jax.vmap(freeze(model))(ends))
        entropy = nearest_neighbour_entropy(ends, state.buffer.samples.states, jnp.asarray(slots))
        loss = gap + self.kl_weight * energy - self.entropy_weight * entropy
        return loss, (state, metrics | {"kl_energy": energy, "entropy": entropy})

    def step(self, key: Key, model: AbstractEnergy, state: PersistentState, xs: PyTree) -> PyTree:
        """One transition of every row under the live model: a function of its parameters."""
        sampler = self.negatives._tuning.apply(self.negatives.sampler, state.log_step)

        def one(key: Key, x: PyTree) -> PyTree:
            return sampler.step(key, model, sampler.init(model, x))[0].x

        return jax.vmap(one)(chain_keys(key, self.num_samples), xs)


def nearest_neighbour_entropy(xs: PyTree, others: PyTree, slots: Array) -> Scalar:
    """dim * mean log(distance to the nearest of the others) + log volume of the unit ball + log(n) + Euler's constant.

    Args:
        xs: Samples on axis 0, whose entropy is asked for.
        others: A larger sample of the same law; gradients do not reach it.
        slots: The row of `others` that each of `xs` came from, which does not count as its neighbour.
    """
    points, cloud = (jax.vmap(lambda row: ravel_pytree(row)[0])(tree) for tree in (xs, jax.lax.stop_gradient(others)))
    dim, num = points.shape[1], cloud.shape[0] - 1
    apart: Float[Array, "rows others"] = jnp.sum((points[:, None, :] - cloud[None, :, :]) ** 2, axis=-1)
    own = slots[:, None] == jnp.arange(cloud.shape[0])[None, :]
    nearest = jnp.min(jnp.where(own, jnp.inf, apart), axis=1)
    ball = 0.5 * dim * math.log(math.pi) - math.lgamma(0.5 * dim + 1.0)
    return 0.5 * dim * jnp.mean(jnp.log(nearest)) + ball + math.log(num) + 0.5772156649015329
