"""The loop: pull a chunk of batches, run one compiled scan over it, look.

Nothing inside a chunk waits for the host. The next chunk of batches is made while the device still works on this one;
metrics come to the host once a chunk, stacked over its steps.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from energax.core import checks
from energax.training import Trainer, TrainState, run_steps

from .placement import Placement


class Stream(Protocol):
    """What the loop asks of data: stacked batches as a pure function of the step."""

    def chunk(self, start: int, num: int) -> dict[str, np.ndarray]:
        """Batches start .. start + num - 1, stacked on a new axis 0."""
        ...


class Look(NamedTuple):
    """What a hook sees after each chunk.

    Attributes:
        step: Steps done so far, since the beginning of the run.
        state: The training state after them.
        steps: The chunk's step numbers, shape [n].
        metrics: Every metric of the chunk as a NumPy array of shape [n].
        seconds: Wall time of the chunk, compilation included in the first.
    """

    step: int
    state: TrainState
    steps: np.ndarray
    metrics: dict[str, np.ndarray]
    seconds: float


Hook = Callable[[Look], "TrainState | None"]
"""Called after each chunk; a state it returns replaces the run's and its step; None leaves them.

A state of another step takes the chunk back: hooks that come later do not see it."""


def grid_length(start: int, last: int, size: int) -> int:
    """Steps from `start` to the next multiple of `size` or to `last`: a resumed run keeps the same chunk grid."""
    return min(size - start % size, last - start)


def fit(
    trainer: Trainer,
    state: TrainState,
    stream: Stream,
    num_steps: int,
    *,
    steps_per_call: int = 50,
    hooks: Sequence[Hook] = (),
    placement: Placement | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainState:
    """Trains until `state.step` is `num_steps`, or until `should_stop` says so at a chunk's end.

    Args:
        trainer: The pure step.
        state: Where to start; a state of step k goes on with step k.
        stream: `chunk(start, num)` gives stacked batches; `energax.data.Batches` is one.
        num_steps: Steps in all, since step 0. Must be >= 1.
        steps_per_call: Length of one compiled scan. Must be >= 1.
        hooks: Called in order after each chunk; they log, save, judge, and may put another state in place.
        placement: Where batches and state live; None leaves both on the default device.
        should_stop: Asked after the hooks of each chunk.

    Returns:
        The state after the last chunk (and its hooks).
    """
    checks.count("fit", "num_steps", num_steps)
    checks.count("fit", "steps_per_call", steps_per_call)
    place: Callable[[Any], Any] = (lambda chunk: chunk) if placement is None else placement.chunk
    if placement is not None:
        state = placement.state(state)
    start, ready = int(state.step), None
    while start < num_steps:
        length = grid_length(start, num_steps, steps_per_call)
        chunk = place(stream.chunk(start, length)) if ready is None else ready
        began = time.perf_counter()
        state, metrics = run_steps(trainer, state, chunk)
        following, ready = start + length, None
        if following < num_steps:  # overlap: the device is still busy with this chunk
            ready = place(stream.chunk(following, grid_length(following, num_steps, steps_per_call)))
        seen = {name: np.asarray(value) for name, value in jax.device_get(metrics).items()}
        look = Look(following, state, np.arange(start, following), seen, time.perf_counter() - began)
        for hook in hooks:
            replaced = hook(look)
            if replaced is not None:
                state = replaced if placement is None else placement.state(replaced)
                following, ready = int(state.step), None
                if following != look.step:
                    break
                look = look._replace(state=state)
        start = following
        if should_stop():
            break
    return state
