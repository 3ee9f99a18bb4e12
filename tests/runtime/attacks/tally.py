"""What fault injection counts, and the states it injects faults into.

Lost: work that a save had acknowledged cannot be had back, or an error of another kind than CheckpointError escaped.
Silent: wrong numbers came back, or damage was passed over without a word.
"""

import dataclasses
import os
from pathlib import Path

import numpy as np

from energax.errors import CheckpointError
from energax.runtime import checkpoint


@dataclasses.dataclass
class Tally:
    """How many faults, what they did, and further figures by name."""

    injected: int = 0
    lost: int = 0
    silent: int = 0
    figures: dict[str, float] = dataclasses.field(default_factory=dict)
    examples: list[str] = dataclasses.field(default_factory=list)

    def note(self, what: str) -> None:
        if len(self.examples) < 5:
            self.examples.append(what)


def state_of(step: int, size: int = 2000) -> dict[str, np.ndarray]:
    """A state that is a function of its step, so that any loaded one can be checked."""
    rng = np.random.Generator(np.random.Philox(step))
    return {
        "w": rng.normal(size=size).astype(np.float32),
        "walkers": rng.normal(size=(size // 2, 2)),
        "n": np.int64(step),
    }


def template(size: int = 2000) -> dict[str, np.ndarray]:
    """What such states are loaded into."""
    return state_of(0, size)


def same(found: dict[str, np.ndarray], step: int, size: int = 2000) -> bool:
    """Whether this is the state of that step, byte for byte."""
    right = state_of(step, size)
    return all(np.asarray(found[name]).tobytes() == right[name].tobytes() for name in right)


def litter(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.endswith(".tmp")]


def judge(tally: Tally, folder: Path, least: int, size: int = 2000) -> int:
    """Whether the newest checkpoint is of step >= `least` and right; returns its step."""
    try:
        found = checkpoint.latest(folder, template(size))
    except CheckpointError as error:
        tally.lost += 1
        tally.note(str(error))
        return least
    step = found.meta["step"]
    if step < least or found.notes:
        tally.lost += 1
        tally.note(f"step {step} of {least}; {found.notes}")
    if not same(found.state, step, size):
        tally.silent += 1
        tally.note(f"step {step} has other numbers")
    return step
