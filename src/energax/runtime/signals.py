"""Ctrl-C and SIGTERM, politely: the first finishes the current chunk, the second leaves at once.

Python runs a signal handler only between its own instructions, so during a compiled scan nothing would be heard.
Here the operating system writes each signal's number into a pipe in the moment it arrives, and a thread reads the
pipe: the second signal ends the process even in the middle of a scan. The checkpoint on the disk is whole at any
moment, so that loses only what was not yet saved.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ONE_PRESS = 0.25
"""Seconds within which a repeated signal counts as the same: supervisors signal a process and then its group."""

_END = 0  # no signal has this number: tells the thread to leave


class GracefulStop:
    """Listens for SIGINT and SIGTERM inside a `with`, and puts the old handlers back after it.

    Off the main thread, where Python allows no handlers, it listens to nothing and never asks to stop.

    Attributes:
        requested: Whether a signal has come: finish the chunk, save, and leave with `exit_code`.
        signum: The first signal that came, or None.

    Example:
        >>> with GracefulStop() as stop:
        ...     for chunk in range(3):
        ...         if stop.requested:
        ...             break
        >>> stop.requested, stop.exit_code
        (False, 0)
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._pipe: tuple[int, int] | None = None
        self._thread: threading.Thread | None = None
        self._old_wakeup = -1
        self._old_handlers: dict[signal.Signals, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether to stop at the end of the chunk."""
        return self.signum is not None

    @property
    def exit_code(self) -> int:
        """The process's exit code by custom: 128 + signal (130, 143), or 0 if none came."""
        return 0 if self.signum is None else 128 + self.signum

    def __call__(self) -> bool:
        """The same as `requested`: the loop's `should_stop`."""
        return self.requested

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        reading, writing = self._pipe = os.pipe()
        os.set_blocking(writing, False)
        self._thread = threading.Thread(target=self._listen, args=(reading,), name="energax-signals", daemon=True)
        self._thread.start()
        self._old_wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        self._old_handlers = {each: signal.signal(each, self._handle) for each in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pipe is None:
            return
        for each, handler in self._old_handlers.items():
            # None: a handler that was not set from Python, and so cannot be put back by it.
            signal.signal(each, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(self._old_wakeup)
        reading, writing = self._pipe
        self._pipe = None
        os.write(writing, bytes([_END]))
        if self._thread is not None:
            self._thread.join()
        os.close(writing)
        os.close(reading)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        """Python's own call, between two instructions: it must exist for the pipe to be fed, and it is soon enough."""
        del frame
        if self.signum is None:
            self.signum = signum

    def _listen(self, reading: int) -> None:
        # Only what this thread has read counts: the main thread may be minutes behind, or just ahead.
        first_at: float | None = None
        while True:
            for number in os.read(reading, 64):
                if number == _END:
                    return
                if number not in _SIGNALS:
                    continue
                if first_at is None:
                    first_at = time.monotonic()
                    self.signum = self.signum or number
                elif time.monotonic() - first_at > _ONE_PRESS:
                    _leave(128 + number)


def _leave(code: int) -> None:
    """Ends the process now: no clean-up that could hang, but a cursor that a live display may have hidden is shown."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if sys.stdout.isatty():
            os.write(sys.stdout.fileno(), b"\x1b[?25h\n")
    os._exit(code)
