"""Persistent contrastive divergence: negatives come from chains that are never thrown away.

Source: Younes (1999), doi:10.1080/17442509908834179; Tieleman (2008), Training restricted Boltzmann machines using
    approximations to the likelihood gradient, doi:10.1145/1390156.1390290, sec. 3. The buffer larger than a turn
    and the restarted fraction: Du and Mordatch (2019), arXiv:1903.08689, sec. 3.1 and 3.2.
What differs: drawn walkers go back to the slots they came from; a restart is a true one (a new walker of age 0, not
the old one with noise added); chains run at temperature 1 for any sampler that targets exp(-E); MALA's step adapts.
Estimates the gradient of the negative log-likelihood, up to the chains' lag behind the moving model. Cost:
num_steps gradients of the energy a walker (and one to refresh what they cache), and two passes for the loss.
Fails where chains do not cross between modes: the share of walkers in a mode freezes and the mass there drifts for
ever. Walkers under MALA, born anew ones above all, can stick where the energy is steep and everything is rejected,
and push it there without end: watch acceptance; an `energy_penalty` (.03 in the plane) holds the energies together.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree, Scalar

from energax.core import AbstractEnergy, AbstractObjective, AbstractSampler, Batch, Key, Metrics, checks
from energax.numerics.tree import where_rows
from energax.samplers import ReplayBuffer, finite_rows

from .negatives import Tuning, check_energy, check_sampler, contrast, report, tuning, walk
from .start import AbstractStart, NormalStart, check_start


class PersistentState(NamedTuple):
    """The walkers with their ages [turns], and log step_size (None where it does not adapt)."""

    buffer: ReplayBuffer
    log_step: Scalar | None


class PersistentCD(AbstractObjective):
    """PCD: mean E(data) - mean E(persistent walkers, moved by num_steps); the gradient does not enter the chain.

    With buffer_size = num_chains every walker moves in every step (Tieleman's rule); a larger buffer lets num_chains of
    them, drawn without replacement, take turns. A walker that leaves the finite is evicted: its slot keeps what it held
    and the loss does without it; one that is found non-finite is born anew.

    Metrics: gap, energy_data, energy_model, acceptance, divergent (fraction of chains), evicted (a count),
    walker_radius (largest |x| of a walker over that of the data), temperature, step_size where the sampler has one,
    age_mean and age_max over the buffer, in turns taken.

    Args:
        sampler: The kernel; one that targets exp(-E) at temperature 1 for the rule to be sound.
        num_steps: Transitions a turn, >= 1.
        num_chains: Walkers that move in a turn, >= 1.
        buffer_size: Walkers in all, >= num_chains; None means num_chains.
        restart: Probability in [0, 1] that a drawn walker is replaced by a newborn one.
        adapt_target: Mean acceptance in (0, 1) towards which log step_size walks from one training step to the next;
            None keeps the sampler's own step size.
        adapt_rate: Change of log step_size for a whole unit of acceptance, > 0.
        min_step_size: The adapted step stays above this, > 0.
        max_step_size: The adapted step stays below this.
        energy_penalty: Weight of mean E(data)^2 + mean E(negatives)^2, >= 0.
        chunk_size: Rows whose gradient is taken, and walkers that move, at a time, >= 1; 8 is good for image networks
            on a CPU. None takes all.
        start: Where walkers are born. The default is the standard normal: the base itself in whitened coordinates.

    Raises:
        ValueError: A field is outside its range, or `start` does not draw samples like the data.

    Example:
        >>> from energax.core import FunctionEnergy
        >>> from energax.samplers import MALA
        >>> rule = PersistentCD(MALA(0.1), num_steps=5, num_chains=16, adapt_target=0.75)
        >>> energy, batch = FunctionEnergy(lambda x: 0.5 * jnp.sum(x**2)), {"x": jnp.ones((8, 2))}
        >>> state = rule.init(jax.random.key(0), energy, batch)
        >>> loss, (state, metrics) = rule(jax.random.key(1), energy, state, batch)
        >>> float(metrics["age_mean"])
        1.0
    """

    sampler: AbstractSampler
    num_steps: int
    num_chains: int
    buffer_size: int | None = None
    restart: float = 0.0
    adapt_target: float | None = None
    adapt_rate: float = 0.05
    min_step_size: float = 1e-6
    max_step_size: float = 1e3
    energy_penalty: float = 0.0
    chunk_size: int | None = None
    start: AbstractStart = eqx.field(default_factory=NormalStart)

    def __check_init__(self):
        check_sampler("PersistentCD", self.sampler)
        checks.count("PersistentCD", "num_steps", self.num_steps)
        checks.count("PersistentCD", "num_chains", self.num_chains)
        if self.buffer_size is not None:
            checks.count("PersistentCD", "buffer_size", self.buffer_size, least=self.num_chains)
        checks.non_negative("PersistentCD", "restart", self.restart)
        if self.restart > 1:
            raise ValueError(f"PersistentCD.restart must lie in [0, 1]; got {self.restart}.")
        checks.non_negative("PersistentCD", "energy_penalty", self.energy_penalty)
        if self.chunk_size is not None:
            checks.count("PersistentCD", "chunk_size", self.chunk_size)
        self._tuning.init(self.sampler)

    @property
    def _tuning(self) -> Tuning:
        return tuning(self.adapt_target, self.adapt_rate, self.min_step_size, self.max_step_size)

    def init(self, key: Key, model: Any, batch: Batch) -> PersistentState:
        """A buffer of newborn walkers."""
        size = self.num_chains if self.buffer_size is None else self.buffer_size
        check_energy("PersistentCD", model, batch["x"])
        check_start("PersistentCD", self.start, batch["x"], size)
        return PersistentState(ReplayBuffer.create(self.start(key, batch["x"], size)), self._tuning.init(self.sampler))

    def __call__(
        self, key: Key, model: AbstractEnergy, state: PersistentState, batch: Batch
    ) -> tuple[Scalar, tuple[PersistentState, Metrics]]:
        draw, born, step = jax.random.split(key, 3)
        slots, xs, ages = state.buffer.draw(draw, self.num_chains)
        xs, ages, healed = self._newborn(born, xs, ages, batch["x"])
        sampler = self._tuning.apply(self.sampler, state.log_step)
        moved = walk(step, sampler, model, xs, self.num_steps, self.chunk_size)
        loss, metrics = contrast(model, batch["x"], moved.x, moved.good, self.energy_penalty, self.chunk_size)
        # a chain that left the finite is back at its start: finite, and a turn older
        buffer, _ = state.buffer.write(slots, moved.x, ages)
        turns = buffer.ages.states.astype(jnp.float32)
        metrics |= report(sampler, moved, batch["x"])
        metrics |= {"age_mean": jnp.mean(turns), "age_max": jnp.max(turns), "evicted": metrics["evicted"] + healed}
        return loss, (PersistentState(buffer, self._tuning.update(state.log_step, moved.info)), metrics)

    def _newborn(self, key: Key, xs: PyTree, ages: Int[Array, " chains"], data: PyTree) -> tuple[PyTree, Any, Scalar]:
        """Restarts a fraction, and any walker that is not finite -> (xs, ages, how many were not finite)."""
        choose, birth = jax.random.split(key)
        lost = ~finite_rows(xs)
        if self.restart > 0:
            fresh = self.start(birth, data, self.num_chains)
            xs, ages, _ = ReplayBuffer.restart(choose, where_rows(lost, fresh, xs), ages, fresh, self.restart)
        else:  # newborn walkers are rarely needed: draw them only then
            xs = jax.lax.cond(
                jnp.any(lost), lambda: where_rows(lost, self.start(birth, data, self.num_chains), xs), lambda: xs
            )
        return xs, jnp.where(lost, jnp.zeros_like(ages), ages), jnp.sum(lost).astype(jnp.float32)
