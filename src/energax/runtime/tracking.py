"""Metrics on disk: one JSON object a line, flushed line by line, readable while the run goes on.

`metrics.jsonl` holds `{"step": ..., "time": ..., <metric>: ...}`. A number that is not finite is written as Python's
json writes it (NaN, Infinity): it is evidence, and is read back as such. A crash can tear the last line at most;
reading passes over it and the next writer cuts it off. A run that goes back to step k takes back every line of a
later step.
"""

import io
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from energax.errors import ConfigError, EnergaxError

from .disk import write_atomically

METRICS = "metrics.jsonl"
EVENTS = "tensorboard"


class Tracker:
    """Appends metrics to a run folder's `metrics.jsonl`, and to TensorBoard events if asked.

    Args:
        folder: The run folder; made if missing.
        resume_from: The step the run goes on from: lines of later steps are taken back. None keeps all there are.
        tensorboard: Whether to write `tensorboard/` too; needs the extra `tracking`.

    Raises:
        ConfigError: TensorBoard was asked for and is not installed.
        EnergaxError: The folder cannot be written, or its metrics are damaged.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Tracker(folder) as tracker:
        ...         tracker.write(50, {"loss": 0.5})
        ...         tracker.write(100, {"loss": 0.25, "gap": -1.0})
        ...     metrics = read_metrics(folder)
        >>> metrics["step"].tolist(), metrics["loss"].tolist(), metrics["gap"].tolist()
        ([50, 100], [0.5, 0.25], [nan, -1.0])
    """

    def __init__(self, folder: str | Path, *, resume_from: int | None = None, tensorboard: bool = False):
        self.folder = Path(folder)
        self.path = self.folder / METRICS
        self._writer_class: Any = _event_writer_class() if tensorboard else None
        self._events: Any = None
        self._file: io.FileIO | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EnergaxError(f"Tracker: {self.folder} must be a folder to write in; got {error.strerror}.") from error
        self._open(resume_from)

    def write(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Appends one line; it is with the operating system when this returns.

        Args:
            step: Steps done.
            metrics: Names to numbers. Names "step" and "time" are taken.

        Raises:
            ValueError: A metric is no number, or has a name that is taken.
            EnergaxError: The disk refused; the file ends with the last whole line.
        """
        numbers = {name: _number(name, value) for name, value in metrics.items()}
        seconds = self._seconds + time.monotonic() - self._began
        line = json.dumps({"step": int(step), "time": round(seconds, 6), **numbers}) + "\n"
        self._append(line.encode())
        if self._events is not None:
            for name, value in numbers.items():
                self._events.add_scalar(name, value, int(step))

    def rewind(self, step: int) -> None:
        """Takes back every line of a step later than `step`, in one move; what is written next follows on."""
        self.close()
        self._open(step)

    def close(self) -> None:
        """Closes the files; closing twice is nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._events is not None:
            self._events.close()
            self._events = None

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, resume_from: int | None) -> None:
        rows = _mend(self.path, resume_from)
        self._seconds = float(rows[-1].get("time", 0.0)) if rows else 0.0
        self._began = time.monotonic()
        try:
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - it lives as long as the tracker
        except OSError as error:
            raise EnergaxError(f"Tracker: {self.path} must be writable; got {error.strerror}.") from error
        if self._writer_class is not None:
            purge = None if resume_from is None else resume_from + 1
            self._events = self._writer_class(str(self.folder / EVENTS), purge_step=purge)

    def _append(self, line: bytes) -> None:
        if self._file is None:
            raise EnergaxError(f"Tracker: {self.path} must be open to write; got a closed tracker.")
        start = self._file.seek(0, os.SEEK_END)
        try:
            written = self._file.write(line)
            if written != len(line):
                raise OSError(0, f"only {written} of {len(line)} bytes fitted")
        except OSError as error:
            os.ftruncate(self._file.fileno(), start)
            raise EnergaxError(f"Tracker: {self.path} must take a line; got {error.strerror}.") from error


def read_metrics(folder: str | Path) -> dict[str, np.ndarray]:
    """Every metric of a run as an array over the lines; an empty dict if none was written.

    A line that lacks a metric has NaN there: not measured. A torn last line is passed over.

    Args:
        folder: The run folder.

    Returns:
        "step" [lines] int64, and every other name [lines] float64.

    Raises:
        EnergaxError: A line before the last is no JSON object of numbers: the file was damaged, not torn.
    """
    rows = read_rows(Path(folder) / METRICS)
    if not rows:
        return {}
    names = dict.fromkeys(name for row in rows for name in row)
    found = {name: np.array([row.get(name, np.nan) for row in rows], dtype=np.float64) for name in names}
    return {**found, "step": np.array([row["step"] for row in rows], dtype=np.int64)}


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a metrics file, in order; none if there is no file.

    Raises:
        EnergaxError: A line before the last is no JSON object of numbers with a step.
    """
    try:
        pieces = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise EnergaxError(f"{path}: must be readable; got {error.strerror}.") from error
    rows = []
    for number, piece in enumerate(pieces[:-1], start=1):  # after the last newline: nothing, or a torn line
        row = _row(piece)
        if row is None:
            must = "must be a JSON object of numbers with a step"
            raise EnergaxError(f"{path}: line {number} {must}; got {piece[:60]!r}.")
        rows.append(row)
    return rows


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in row.values()
    ):
        return None
    step = row.get("step")
    return row if isinstance(step, int) and 0 <= step < 2**63 else None


def _mend(path: Path, last_step: int | None) -> list[dict[str, Any]]:
    """Cuts off a torn last line and the lines after `last_step`, atomically; returns the lines that stay."""
    rows = read_rows(path)
    if not path.exists():
        return rows
    kept = [row for row in rows if last_step is None or row["step"] <= last_step]
    data = path.read_bytes()
    if len(kept) == len(rows) and (not data or data.endswith(b"\n")):
        return kept
    lines = zip(data.split(b"\n")[:-1], rows, strict=True)
    whole = [line + b"\n" for line, row in lines if last_step is None or row["step"] <= last_step]
    try:
        write_atomically(path, whole)
    except OSError as error:
        raise EnergaxError(f"Tracker: {path} must be writable; got {error.strerror}.") from error
    return kept


def _number(name: str, value: Any) -> float:
    array = np.asarray(value)
    if name in ("step", "time"):
        raise ValueError(f"Tracker.write: a metric must not be named {name!r}; got {value!r}.")
    if array.size != 1 or (array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16"):
        got = f"{array.dtype} of shape {array.shape}"
        raise ValueError(f"Tracker.write: metric {name!r} must be one number; got {got}.")
    return float(array.reshape(()))


def _event_writer_class() -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise ConfigError(
            "tracking.tensorboard must be false where tensorboardX is not installed; add it with: "
            "pip install 'energax[tracking]'"
        ) from None
    return SummaryWriter
