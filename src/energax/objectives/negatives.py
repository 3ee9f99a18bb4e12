"""The negative phase that contrastive rules share: walk under the frozen model, weigh, compare with the data, report.

Source: the two-phase gradient of Hinton (2002), doi:10.1162/089976602760128018, eq. (3); the penalty on squared
    energies is that of Du and Mordatch (2019), arXiv:1903.08689, sec. 3.3.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree, Scalar

from energax.core import AbstractEnergy, AbstractSampler, Cond, Key, Metrics, X, checks, freeze
from energax.numerics.microbatch import mean_in_chunks
from energax.numerics.tree import where_rows
from energax.samplers import AbstractPair, advance, finite_rows, init_chains
from energax.samplers.adaptation import AdaptiveStep, with_step_size


class Walk(NamedTuple):
    """Where chains went: positions (a non-finite row is the start again), which rows are finite, the sampler's Info."""

    x: X
    good: Bool[Array, " chains"]
    info: Any


def walk(
    key: Key,
    sampler: AbstractSampler,
    model: AbstractEnergy,
    xs: PyTree,
    num_steps: int,
    chunk_size: int | None = None,
) -> Walk:
    """`num_steps` transitions from `xs` under the model with its gradient stopped.

    A chain that left the finite is put back to its start and marked, to be counted and left out of the loss. With a
    `chunk_size` so many chains walk at a time.
    """
    frozen = freeze(model)
    chains, info = advance(key, sampler, frozen, init_chains(sampler, frozen, xs), num_steps, chunk_size=chunk_size)
    moved = jax.lax.stop_gradient(chains.states.x)
    good = finite_rows(moved)
    return Walk(where_rows(good, moved, xs), good, info)


def contrast(
    model: AbstractEnergy,
    xs: PyTree,
    negatives: PyTree,
    good: Bool[Array, " chains"],
    energy_penalty: float,
    chunk_size: int | None = None,
) -> tuple[Scalar, Metrics]:
    """mean E(xs) - mean E(negatives that are good) + energy_penalty * (mean E(xs)^2 + mean E(negatives)^2).

    If no negative is good the result is 0 / 0: the step is then refused, not invented. With a `chunk_size`, data and
    negatives are one stack of weighted rows whose gradient is gathered so many rows at a time.
    """
    if chunk_size is None:
        up, down = jax.vmap(model)(xs), jax.vmap(model)(negatives)
        weights = good.astype(down.dtype) / jnp.sum(good).astype(down.dtype)
        energy_data, energy_model = jnp.mean(up), jnp.sum(weights * down)
        squares = jnp.mean(up**2) + jnp.sum(weights * down**2) if energy_penalty > 0 else jnp.zeros_like(energy_data)
    else:
        energy_data, energy_model, squares = _in_chunks(model, xs, negatives, good, energy_penalty, chunk_size)
    gap = energy_data - energy_model
    loss = gap + energy_penalty * squares if energy_penalty > 0 else gap
    return loss, {"gap": gap, "energy_data": energy_data, "energy_model": energy_model}


def _in_chunks(
    model: AbstractEnergy, xs: PyTree, negatives: PyTree, good: Bool[Array, " chains"], penalty: float, chunk_size: int
) -> tuple[Scalar, Scalar, Scalar]:
    """(mean E(xs), mean E(good negatives), both means of E^2); their loss's gradient is that of the stacked rows."""
    dtype = jax.eval_shape(model, jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), xs)).dtype
    num_up, num_down = (jax.tree.leaves(side)[0].shape[0] for side in (xs, negatives))
    num = num_up + num_down
    plus = jnp.concatenate([jnp.full(num_up, 1.0 / num_up, dtype), jnp.zeros(num_down, dtype)])
    minus = jnp.concatenate([jnp.zeros(num_up, dtype), good.astype(dtype) / jnp.sum(good).astype(dtype)])
    rows = (jax.tree.map(lambda a, b: jnp.concatenate([a, b]), xs, negatives), num * plus, num * minus)

    def weighted(model: AbstractEnergy, row: Any) -> tuple[Scalar, tuple[Scalar, Scalar, Scalar]]:
        x, up, down = row
        value = model(x)
        parts = up * value, down * value, (up + down) * value**2
        return parts[0] - parts[1] + penalty * parts[2], parts

    loss, (up, down, squares) = mean_in_chunks(weighted, model, rows, chunk_size)
    # the gradient travels with `loss` alone: a zero that carries it is added to the mean energy of the data
    return up + (loss - jax.lax.stop_gradient(loss)), down, squares


def report(sampler: AbstractSampler, moved: Walk, xs: PyTree) -> Metrics:
    """What every chain-based rule tells about its chains, by the names that displays and alarms know."""
    tests = {
        "acceptance": jnp.mean(moved.info.acceptance),
        "divergent": jnp.mean(moved.info.divergent.astype(jnp.float32)),
    }
    return tests | standing(sampler, moved, xs)


def standing(kernel: AbstractSampler | AbstractPair, moved: Walk, xs: PyTree) -> Metrics:
    """What is told of where walkers stand, whether or not their kernel has a test: `report` without its Info."""
    metrics = {
        "evicted": jnp.sum(~moved.good).astype(jnp.float32),
        "walker_radius": _radius(moved.x) / _radius(xs),
        "temperature": _temperature(kernel),
    }
    if hasattr(kernel, "step_size"):
        metrics["step_size"] = jnp.asarray(kernel.step_size, jnp.float32)
    return metrics


def _temperature(kernel: AbstractSampler | AbstractPair) -> Scalar:
    """The temperature that a kernel adds to the energy's; of several parts' the one farthest from 1."""
    found = jnp.stack([jnp.asarray(each, jnp.float32) for each in _temperatures(kernel)] or [jnp.ones((), jnp.float32)])
    return found[jnp.argmax(jnp.abs(found - 1.0))]


def _temperatures(kernel: Any) -> list[Any]:
    """Of a kernel, or of those that it is built around; one that has no such knob targets exp(-E) and names none."""
    if hasattr(kernel, "temperature"):
        return [kernel.temperature]
    parts = jax.tree.leaves(kernel, is_leaf=lambda node: node is not kernel and isinstance(node, AbstractSampler))
    return [each for part in parts if isinstance(part, AbstractSampler) for each in _temperatures(part)]


class Tuning(NamedTuple):
    """The continuous adaptation of a sampler's step size, and its state log h (None: the step is fixed)."""

    rule: AdaptiveStep | None

    def init(self, sampler: AbstractSampler) -> Scalar | None:
        """log h at the sampler's own step size."""
        if self.rule is None:
            return None
        if not hasattr(sampler, "step_size"):
            got = type(sampler).__name__
            raise ValueError(f"adapt_target must be None for a sampler without a field step_size; got {got}.")
        if not sampler.exact:  # it accepts everything, so that the step would grow to its upper bound
            got = type(sampler).__name__
            raise ValueError(f"adapt_target must be None for a sampler without an acceptance test; got {got}.")
        return self.rule.init(sampler.step_size)

    def apply(self, sampler: AbstractSampler, state: Scalar | None) -> AbstractSampler:
        """The sampler at the adapted step size."""
        return sampler if self.rule is None or state is None else with_step_size(sampler, self.rule.step_size(state))

    def update(self, state: Scalar | None, info: Any) -> Scalar | None:
        """One Robbins-Monro turn on the mean acceptance of all chains."""
        if self.rule is None or state is None:
            return None
        return self.rule.update(state, jnp.mean(info.acceptance))


def tuning(target: float | None, rate: float, lowest: float, highest: float) -> Tuning:
    """The adaptation that the fields of an objective ask for; they are looked at where nothing adapts, too."""
    rule = AdaptiveStep(0.5 if target is None else target, rate, lowest, highest)
    return Tuning(None if target is None else rule)


def check_sampler(owner: str, sampler: Any) -> None:
    """Raises ValueError unless `sampler` is a kernel for one chain."""
    if not isinstance(sampler, AbstractSampler):
        got = sampler.__name__ if isinstance(sampler, type) else type(sampler).__name__
        raise ValueError(f"{owner}.sampler must be a sampler, as ULA(0.01); got {got}.")


def check_energy(owner: str, model: Any, xs: PyTree, cond: Cond = None) -> None:
    """Raises ValueError unless `model` maps one row of `xs` to a scalar; traces the model once and runs nothing."""
    if not callable(model):
        raise ValueError(f"{owner}: model must be an energy of one sample; got {type(model).__name__}.")
    row = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), xs)
    value = jax.eval_shape(lambda x: model(x, cond) if cond is not None else model(x), row)
    checks.scalar_energy(owner, jnp.shape(value))


def _radius(xs: PyTree) -> Scalar:
    """The largest absolute entry: over rows first, which XLA makes vector code of on a CPU, five times as fast."""
    by_column = [jax.lax.optimization_barrier(jnp.max(jnp.abs(leaf), axis=0)) for leaf in jax.tree.leaves(xs)]
    return jnp.max(jnp.stack([jnp.max(each).astype(jnp.float32) for each in by_column]))
