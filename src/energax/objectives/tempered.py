"""Tempered persistent contrastive divergence: every walker is a ladder of replicas, the coldest ones are negatives.

Source: Desjardins, Courville, Bengio, Vincent and Delalleau (2010), Tempered Markov chain Monte Carlo for training of
    restricted Boltzmann machines, proceedings.mlr.press/v9/desjardins10a.html, sec. 3; Salakhutdinov (2009), Learning
    in Markov random fields using tempered transitions, papers.nips.cc, for the same end by other means.
What differs: even-odd swaps; any inner kernel; a bipartite model is tempered in its joint energy where the sampler's
    `family` says so.
Estimates the gradient of the negative log-likelihood as `PersistentCD` does, with walkers that cross between modes by
way of the hot replicas. Cost: the number of levels times that of `PersistentCD`.
Fails where the ladder has a gap (`swap_rate` near 0) or does not reach a temperature at which the modes join
(`round_trips` stays 0): walkers are then as frozen as those of `PersistentCD`.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Scalar

from energax.core import AbstractEnergy, AbstractObjective, AbstractSampler, Batch, Chains, Key, Metrics, checks, freeze
from energax.numerics.tree import where_rows
from energax.samplers import ParallelTempering, advance, finite_rows, init_chains

from .negatives import Walk, check_energy, contrast, report
from .start import AbstractStart, NormalStart, check_start


class TemperedPCD(AbstractObjective):
    """mean E(data) - mean E(cold replicas), every ladder moved by num_steps; the gradient does not enter the chain.

    A ladder that leaves the finite is put back to where it stood; the loss does without it. Metrics: gap, energy_data,
    energy_model, acceptance (of the cold replicas), divergent, evicted, walker_radius, temperature, `swap_rate` (swaps
    over attempts, of all pairs since the start) and `round_trips` (cold - hot - cold, a ladder, since the start).

    Args:
        sampler: A `ParallelTempering`: the ladder and its inner kernel.
        num_steps: Transitions a turn, each of them a move of every level and a round of swaps, >= 1.
        num_chains: Ladders, >= 1.
        energy_penalty: Weight of mean E(data)^2 + mean E(negatives)^2, >= 0.
        chunk_size: Rows whose gradient is taken, and walkers that move, at a time, >= 1; 8 is good for image networks
            on a CPU. None takes all.
        start: Where ladders are born, all replicas at one point.

    Raises:
        ValueError: A field is outside its range, or `start` does not draw samples like the data.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> from energax.samplers import MALA
        >>> rule = TemperedPCD(ParallelTempering(MALA(0.1), jnp.array([1.0, 0.3])), num_steps=2, num_chains=16)
        >>> energy, batch = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2)), {"x": jnp.ones((8, 2))}
        >>> state = rule.init(jax.random.key(0), energy, batch)
        >>> loss, (state, metrics) = rule(jax.random.key(1), energy, state, batch)
        >>> bool(metrics["swap_rate"] > 0.5)
        True
    """

    sampler: AbstractSampler
    num_steps: int
    num_chains: int
    energy_penalty: float = 0.0
    chunk_size: int | None = None
    start: AbstractStart = eqx.field(default_factory=NormalStart)

    def __check_init__(self):
        if not isinstance(self.sampler, ParallelTempering):
            got = type(self.sampler).__name__
            raise ValueError(f"TemperedPCD.sampler must be a ParallelTempering; got {got}.")
        checks.count("TemperedPCD", "num_steps", self.num_steps)
        checks.count("TemperedPCD", "num_chains", self.num_chains)
        checks.non_negative("TemperedPCD", "energy_penalty", self.energy_penalty)
        if self.chunk_size is not None:
            checks.count("TemperedPCD", "chunk_size", self.chunk_size)

    def init(self, key: Key, model: Any, batch: Batch) -> Chains:
        """Newborn ladders."""
        check_energy("TemperedPCD", model, batch["x"])
        check_start("TemperedPCD", self.start, batch["x"], self.num_chains)
        return init_chains(self.sampler, freeze(model), self.start(key, batch["x"], self.num_chains))

    def __call__(
        self, key: Key, model: AbstractEnergy, state: Chains, batch: Batch
    ) -> tuple[Scalar, tuple[Chains, Metrics]]:
        chains, info = advance(key, self.sampler, freeze(model), state, self.num_steps, chunk_size=self.chunk_size)
        good = finite_rows((chains.states.x, chains.states.replicas.x))
        states = jax.lax.stop_gradient(where_rows(good, chains.states, state.states))
        loss, metrics = contrast(model, batch["x"], states.x, good, self.energy_penalty, self.chunk_size)
        metrics |= report(self.sampler, Walk(states.x, good, info), batch["x"])
        tried = jnp.maximum(jnp.sum(states.attempts.astype(jnp.float32)), 1.0)
        metrics |= {
            "swap_rate": jnp.sum(states.swaps.astype(jnp.float32)) / tried,
            "round_trips": jnp.mean(states.round_trips.astype(jnp.float32)),
        }
        return loss, (Chains(states), metrics)
