"""One pure step for one player or many, and the scan over many steps.

The step is a function of (trainer, state, batch) alone: jit it, scan it, shard it, resume it.
Randomness is a function of (seed, step, phase): step k draws from fold_in(state.key, k), phase i from fold_in of that
and i + 1 (0 is for preparing the batch); chains fold their index in.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from energax.core import AbstractObjective, Batch, Key, Metrics, checks

from . import guard
from .ema import averaged
from .guard import Culprit
from .players import split, whole
from .prepare import keep
from .state import TrainState, select, settle


class Phase(eqx.Module):
    """Whose turn it is: what is minimised, over which part of the model, by which optimiser.

    Args:
        objective: The rule; its state is carried in `TrainState.objectives`.
        optimizer: Any optax transformation; its state is carried in `TrainState.optimizers`.
        trains: model -> the part that moves (a node or a tuple of nodes). Everything else rests: no gradient of it is
            computed and no weight decay reaches it.
        name: Names the phase in metrics and messages.

    Raises:
        ValueError: `optimizer` is no optax transformation, or `name` is empty or holds a slash.
    """

    objective: AbstractObjective
    optimizer: optax.GradientTransformation = eqx.field(static=True)
    trains: Callable[[Any], Any] = eqx.field(static=True, default=whole)
    name: str = eqx.field(static=True, default="train")

    def __check_init__(self):
        if not isinstance(self.optimizer, optax.GradientTransformation):
            got = type(self.optimizer).__name__
            raise ValueError(f"Phase.optimizer must be an optax.GradientTransformation; got {got}.")
        if not self.name or "/" in self.name:
            raise ValueError(f"Phase.name must be a word without '/'; got {self.name!r}.")

    def split(self, model: Any) -> tuple[Any, Any]:
        """(what moves in this phase, the rest); see `players.split`."""
        return split(model, self.trains, f"Phase.trains of '{self.name}'")


class Trainer(eqx.Module):
    """Phases in order, each seeing the model that the one before it left.

    A step in which anything is not finite (batch, objective state, loss, gradient, new parameters, optimiser state) is
    rejected whole: model, average, every optimiser and every objective state stay bit for bit as they were, only the
    step counter moves on, so that the next step draws other data and noise. Metrics say so: `rejected` is 1, and
    `first_bad` holds a code that `explain` turns into the leaf's name. Nothing is replaced or clipped.

    Args:
        phases: At least one; their names differ.
        ema_decay: Decay of the averaged model per step, in [0, 1); see `training.ema`.
        prepare: (key, batch) -> batch, applied first, with noise of its own; `Dequantise` is one.

    Raises:
        ValueError: No phase, two phases of one name, or a decay outside [0, 1).

    Example:
        >>> from energax.core import FunctionEnergy
        >>> from energax.objectives import DenoisingScoreMatching
        >>> trainer = Trainer((Phase(DenoisingScoreMatching(0.5), optax.adam(1e-2)),))
        >>> model = FunctionEnergy(jax.tree_util.Partial(lambda a, x: 0.5 * a * jnp.sum(x**2), jnp.array(1.0)))
        >>> batch = {"x": jnp.ones((4, 2))}
        >>> state = trainer.init(jax.random.key(0), model, batch)
        >>> state, metrics = trainer.step(state, batch)
        >>> float(metrics["rejected"]), int(state.step)
        (0.0, 1)
    """

    phases: tuple[Phase, ...]
    ema_decay: float = 0.995
    prepare: Callable[[Key, Batch], Batch] = keep

    def __check_init__(self):
        names = [phase.name for phase in self.phases]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"Trainer.phases must be one or more phases of different names; got names {names}.")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"Trainer.ema_decay must lie in [0, 1); got {self.ema_decay}.")

    def init(self, key: Any, model: Any, batch: Any) -> TrainState:
        """The state before step 0.

        Args:
            key: One typed key; the run's whole randomness follows from it.
            model: What is trained: an energy, or a pytree of players.
            batch: A batch like those that `step` will see: it gives shapes, and may seed chains.

        Raises:
            ValueError: The key is not typed, or `batch["x"]` is missing, empty or not finite.
        """
        checks.typed_key("Trainer.init", key)
        if not isinstance(batch, dict) or "x" not in batch:
            raise ValueError(f"Trainer.init: batch must be a dict with an entry 'x'; got {_described(batch)}.")
        for leaf in jax.tree.leaves(batch["x"]):
            checks.samples("Trainer.init", "batch['x']", leaf)
        start, run = jax.random.split(key)
        model = settle(model)
        batch = self.prepare(jax.random.fold_in(start, 0), jax.tree.map(jnp.asarray, batch))
        optimizers, objectives = [], []
        for i, phase in enumerate(self.phases):
            optimizers.append(settle(phase.optimizer.init(phase.split(model)[0])))
            objectives.append(settle(phase.objective.init(jax.random.fold_in(start, i + 1), model, batch)))
        return TrainState(
            model, settle(model), tuple(optimizers), tuple(objectives), settle(run), jnp.zeros((), jnp.int32)
        )

    def step(self, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        """One turn of every phase -> (new state, metrics).

        Metrics are the objectives' own and `loss`, `grad_norm`, `first_bad`, each behind "<phase's name>/" where there
        are several phases; and `rejected`.
        """
        key = jax.random.fold_in(state.key, state.step)
        batch = self.prepare(jax.random.fold_in(key, 0), batch)
        model: Any = state.model
        optimizers: Any = list(state.optimizers)
        objectives: Any = list(state.objectives)
        metrics: Metrics = {}
        good, offset = jnp.array(True), 0
        for i, phase in enumerate(self.phases):
            turn = _Turn(phase, model, optimizers[i], objectives[i], offset)
            model, optimizers[i], objectives[i], seen = turn(jax.random.fold_in(key, i + 1), batch)
            good = good & (seen["first_bad"] == 0)
            metrics |= (
                seen if len(self.phases) == 1 else {f"{phase.name}/{name}": value for name, value in seen.items()}
            )
            offset += len(_leaf_names(phase, state.model, state.optimizers[i], state.objectives[i]))
        metrics["rejected"] = 1.0 - good.astype(jnp.float32)
        old = (state.model, state.optimizers, state.objectives)
        model, optimizers, objectives = select(good, (model, tuple(optimizers), tuple(objectives)), old)
        ema = averaged(state.ema, model, self.ema_decay, state.step, good)
        return TrainState(model, ema, optimizers, objectives, state.key, state.step + jnp.int32(1)), metrics


class _Turn(eqx.Module):
    """One phase's part of a step: gradient, update, and the code of the first number that is not finite."""

    phase: Phase
    model: Any
    optimizer: Any
    objective: Any
    offset: int

    def __call__(self, key: Key, batch: Batch) -> tuple[Any, Any, Any, Metrics]:
        moving, still = self.phase.split(self.model)

        def loss_of(moving: Any) -> tuple[Array, tuple[Any, Metrics]]:
            return self.phase.objective(key, eqx.combine(moving, still), self.objective, batch)

        (loss, (carried, seen)), gradient = eqx.filter_value_and_grad(loss_of, has_aux=True)(moving)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes integer counters with floats
            updates, optimizer = self.phase.optimizer.update(gradient, self.optimizer, moving)
        moved = eqx.apply_updates(moving, updates)
        ours = [guard.floats(part) for part in (carried, loss, gradient, moved, optimizer)]
        code = guard.first_bad(guard.floats(batch), [leaf for part in ours for leaf in part], self.offset)
        seen = {**seen, "loss": loss, "grad_norm": jnp.sqrt(guard.squares(ours[2])), "first_bad": code}
        return eqx.combine(moved, still), optimizer, carried, seen


def explain(trainer: Trainer, state: TrainState, code: int, batch: Batch | None = None) -> Culprit:
    """Turns a `first_bad` code into words: which phase, which part, which leaf. Runs on the host.

    Args:
        trainer: The one whose step gave the code.
        state: Any state of its run (only its structure is read).
        code: A `first_bad` metric other than 0.
        batch: A prepared batch, to name its entries; without it a bad batch's leaf is counted, in order of names.

    Raises:
        ValueError: `code` is 0 or belongs to no leaf of this trainer.

    Example:
        `str(explain(trainer, state, code))` reads like "gradient.net.layers[0].weight of phase 'train'".
    """
    code = int(code)
    if code < 0:
        names = [] if batch is None else guard.paths(batch)
        path = names[-code - 1] if -code <= len(names) else f"[leaf {-code}]"
        return Culprit(trainer.phases[0].name, "batch", path)
    left = code - 1
    for phase, optimizer, objective in zip(trainer.phases, state.optimizers, state.objectives, strict=True):
        table = _leaf_names(phase, state.model, optimizer, objective)
        if 0 <= left < len(table):
            return Culprit(phase.name, *table[left])
        left -= len(table)
    raise ValueError(f"explain: code must be a non-zero first_bad of this trainer; got {code}.")


def _leaf_names(phase: Phase, model: Any, optimizer: Any, objective: Any) -> list[tuple[str, str]]:
    """(part, path) of every number that the guard looks at in one turn, in its order."""
    moving = guard.paths(phase.split(model)[0])
    rows = (guard.paths(objective), [""], moving, moving, guard.paths(optimizer))
    return [(part, path) for part, row in zip(guard.PARTS, rows, strict=True) for path in row]


def scan_steps(trainer: Trainer, state: TrainState, chunk: Batch) -> tuple[TrainState, dict[str, Array]]:
    """`trainer.step` over a chunk of stacked batches, in one scan -> (state, metrics with the steps on axis 0)."""
    arrays, static = eqx.partition(state, eqx.is_array)

    def one(carry: Any, batch: Batch) -> tuple[Any, Metrics]:
        new, metrics = trainer.step(eqx.combine(carry, static), batch)
        return eqx.filter(new, eqx.is_array), metrics

    arrays, metrics = jax.lax.scan(one, arrays, chunk)
    return eqx.combine(arrays, static), metrics


_run = eqx.filter_jit(scan_steps)


@eqx.filter_jit(donate="all-except-first")
def _run_donated(fixed, state):
    return scan_steps(fixed[0], state, fixed[1])


def run_steps(
    trainer: Trainer, state: TrainState, chunk: dict[str, Any], *, donate: bool = False
) -> tuple[TrainState, dict[str, Array]]:
    """As many steps as the chunk holds, in one compiled call; nothing inside waits for the host.

    Args:
        trainer: The step; its compiled form is kept, one for each chunk length.
        state: Where to start.
        chunk: Batches stacked on a new axis 0: arrays of shape [steps, batch, ...].
        donate: Gives the state's memory to the result: the old state must not be read again.

    Returns:
        The state after the chunk, and every metric with shape [steps].

    Raises:
        ValueError: The chunk is empty or its arrays disagree about the number of steps.
    """
    lengths = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(chunk)}
    if len(lengths) != 1 or lengths & {(), (0,)}:
        raise ValueError(f"run_steps: arrays of chunk must share one axis 0 of steps, >= 1; got {sorted(lengths)}.")
    chunk = jax.tree.map(jnp.asarray, chunk)
    return _run_donated((trainer, chunk), state) if donate else _run(trainer, state, chunk)


def _described(value: Any) -> str:
    return f"a dict with entries {sorted(value)}" if isinstance(value, dict) else type(value).__name__
