"""The few errors that deserve a name; each message says what must be, what was got, and what may have been meant."""

import difflib
from collections.abc import Iterable


class EnergaxError(Exception):
    """The root of every error that energax raises under a name of its own."""


class ConfigError(EnergaxError, ValueError):
    """A recipe, an override or a name is not one that energax knows; the message names the nearest valid one."""


class CheckpointError(EnergaxError):
    """A checkpoint is missing, damaged or of another run; no array of it has been handed out."""


class DataError(EnergaxError, ValueError):
    """A data set cannot be had, or does not fit what was asked: the message says which file or axis and why."""


class DivergenceError(EnergaxError):
    """Training left the finite or the sensible; the message names phase, step, leaf and what to change.

    Attributes:
        step: The step (0-based) whose numbers were refused.
        phase: The phase that produced them.
    """

    def __init__(self, message: str, *, step: int, phase: str):
        super().__init__(message)
        self.step = step
        self.phase = phase


class Unbounded(EnergaxError, ValueError):
    """A likelihood has no finite maximum on the data at hand, so that no fit is best; the message says why.

    A comparison of fits writes it down and goes on; any other error of a fit is raised.
    """


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`" Did you mean 'moons'?"`, or nothing where no known word is near.

    Example:
        >>> did_you_mean("mons", ["moons", "rings"])
        " Did you mean 'moons'?"
    """
    near = difflib.get_close_matches(str(word)[:80].lower(), list(known), n=1, cutoff=0.55)
    return f" Did you mean {near[0]!r}?" if near else ""
