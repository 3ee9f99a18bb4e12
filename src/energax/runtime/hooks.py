"""What happens between two chunks of training: judge, write down, save. Each hook sees one `Look`."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from energax.core import DivergenceError
from energax.training import Trainer, TrainState, brake, explain

from . import checkpoint
from .alarms import Alarm, Watchdog
from .display import Display
from .folder import ALARMS, CHECKPOINTS, append_line, update_record
from .loop import Look
from .tracking import Tracker

_ROLLBACK_KEY = 0x5EED  # folded into the run's key with the roll-back's number: other noise on the second try


def _nothing(look: Look) -> dict[str, float]:
    return {}


def _at_the_end(value: float, num: int) -> np.ndarray:
    """A number measured after the last of `num` steps; NaN says "not measured here"."""
    return np.append(np.full(num - 1, np.nan), value)


@dataclasses.dataclass
class Between:
    """Measures something once a chunk, for the watchdog and the record alike; it is a hook that comes first."""

    measure: Callable[[Look], dict[str, float]]
    found: dict[str, float] = dataclasses.field(default_factory=dict)

    def __call__(self, look: Look) -> None:
        """Measures this chunk."""
        self.found = self.measure(look)

    def last(self, look: Look) -> dict[str, float]:
        """What was found after this chunk."""
        return self.found


@dataclasses.dataclass
class Watch:
    """Shows every chunk to the watchdog; rolls back or stops when an alarm says that training is broken.

    Attributes:
        watchdog: The judge.
        folder: The run folder.
        explain_rejection: Turns a chunk's look into the sentence that names phase and leaf of a refused step.
        template: A state of the run's shape, to load a checkpoint into.
        on_divergence: "rollback" or "stop".
        max_rollbacks: Roll-backs before the run is given up.
        display: Where alarms are shown.
        rewind: Called with the step that a roll-back goes to.
        extra: What is measured only between chunks, for the watchdog to judge too.
        rollbacks: Roll-backs so far.
    """

    watchdog: Watchdog
    folder: Path
    explain_rejection: Callable[[Look], str]
    template: TrainState
    on_divergence: str
    max_rollbacks: int
    display: Display
    rewind: Callable[[int], None]
    extra: Callable[[Look], dict[str, float]] = _nothing
    rollbacks: int = 0

    def __call__(self, look: Look) -> TrainState | None:
        """Raises or records alarms; returns the state to go back to, if any."""
        seldom = {name: _at_the_end(value, len(look.steps)) for name, value in self.extra(look).items()}
        alarms = self.watchdog.look(look.steps, {**look.metrics, **seldom})
        for alarm in alarms:
            append_line(self.folder / ALARMS, dataclasses.asdict(alarm))
            self.display.alarm(alarm)
        fatal = [alarm for alarm in alarms if alarm.severity == "stop"]
        if not fatal:
            return None
        reason = fatal[0].message + self.explain_rejection(look)
        if self.on_divergence == "stop" or self.rollbacks >= self.max_rollbacks:
            tried = f" after {self.rollbacks} roll-back(s)" if self.rollbacks else ""
            where = f"step {fatal[0].step} (phase {fatal[0].phase})"
            raise DivergenceError(
                f"Training diverged at {where}{tried}: {reason} {fatal[0].advice}",
                step=int(fatal[0].step),
                phase=fatal[0].phase,
            )
        return self._roll_back(fatal[0], reason)

    def _roll_back(self, alarm: Alarm, reason: str) -> TrainState:
        found = checkpoint.latest(self.folder / CHECKPOINTS, self.template)
        for note in found.notes:
            self.display.say(note)
        self.rollbacks += 1
        state = slow_down(found.state, self.rollbacks, self.rollbacks - int(found.meta.get("rollbacks", 0)))
        self.watchdog.reset()
        self.rewind(int(state.step))
        self.display.say(
            f"Rolled back from step {alarm.step} to step {int(state.step)} ({self.rollbacks} of {self.max_rollbacks}), "
            f"learning rate at {0.5**self.rollbacks:g} of its schedule: {reason}"
        )
        return state


def slow_down(state: TrainState, attempt: int, halvings: int) -> TrainState:
    """The state with every learning rate halved `halvings` times, and with other noise than in earlier attempts."""
    key = jax.random.fold_in(state.key, _ROLLBACK_KEY + attempt)
    return dataclasses.replace(state, optimizers=brake(state.optimizers, 0.5**halvings), key=key)


def explainer(trainer: Trainer) -> Callable[[Look], str]:
    """A function that names what was not finite in a chunk's first refused step; it says nothing where none was."""

    def sentence(look: Look) -> str:
        for name, codes in look.metrics.items():
            refused = np.flatnonzero(codes)
            if name.rpartition("/")[2] == "first_bad" and len(refused):
                culprit = explain(trainer, look.state, int(codes[refused[0]]))
                return f" At step {look.steps[refused[0]]} the first number that was not finite stood in {culprit}."
        return ""

    return sentence


@dataclasses.dataclass
class Record:
    """Writes the mean of every metric every `log_every` steps, and feeds the display after each chunk."""

    tracker: Tracker
    folder: Path
    display: Display
    log_every: int
    extra: Callable[[Look], dict[str, float]] = _nothing
    pending: dict[str, list[np.ndarray]] = dataclasses.field(default_factory=dict)

    def __call__(self, look: Look) -> None:
        """Shows the chunk; writes a line when it is time."""
        means = {name: float(np.mean(values)) for name, values in look.metrics.items()}
        self.display.update(look.step, means, len(look.steps) / max(look.seconds, 1e-9))
        for name, values in look.metrics.items():
            self.pending.setdefault(name, []).append(values)
        if look.step % self.log_every == 0:
            line = {name: float(np.mean(np.concatenate(values))) for name, values in self.pending.items()}
            self.pending.clear()
            self.tracker.write(look.step, {**line, **self.extra(look)})
            update_record(self.folder, steps_done=look.step)

    def rewind(self, step: int) -> None:
        """Forgets everything after `step`, on disk too."""
        self.pending.clear()
        self.tracker.rewind(step)


@dataclasses.dataclass
class Save:
    """Saves the state every `every` steps."""

    folder: Path
    every: int
    keep: int
    digest: str
    meta: Callable[[], dict[str, Any]]
    saved: int = -1

    def __call__(self, look: Look) -> None:
        """Saves when it is time."""
        if look.step % self.every == 0:
            self.now(look.state)

    def now(self, state: TrainState) -> None:
        """Saves this state, whatever the step."""
        step = int(state.step)
        checkpoint.save(self.folder / CHECKPOINTS, state, step, keep=self.keep, meta=self.meta(), config=self.digest)
        self.saved = step
