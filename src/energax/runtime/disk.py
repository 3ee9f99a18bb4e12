"""Files put down whole or not at all, and one writer at a time in a folder, whichever process it is in.

The lock is the operating system's advisory lock on a file `.lock` that stays. It belongs to the open file, not to
the name: it falls away in the moment its holder dies, however it dies, so a lock left by a dead process cannot be.
The file holds the holder's process id for the message of the one who waits in vain.
"""

import contextlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from energax.errors import CheckpointError

_fcntl: Any
try:
    import fcntl as _fcntl
except (
    ImportError
):  # Windows: writers do not take turns, but unique names and the atomic rename still keep every file whole
    _fcntl = None

PATIENCE = 60.0
"""Seconds to wait for another writer."""


@contextlib.contextmanager
def folder_lock(folder: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Holds the folder's lock for the length of a `with`.

    Args:
        folder: An existing folder that may be written to.
        patience: Seconds to wait for another holder.

    Raises:
        CheckpointError: Another process held it all the time.
        OSError: The lock file cannot be made.
    """
    if _fcntl is None:
        yield
        return
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        _wait(descriptor, folder, patience)
        _sign(descriptor)
        yield
    finally:
        _fcntl.flock(descriptor, _fcntl.LOCK_UN)  # by name: a process forked meanwhile still has the file open
        os.close(descriptor)


def _wait(descriptor: int, folder: Path, patience: float) -> None:
    deadline, pause = time.monotonic() + patience, 0.001
    while True:
        try:
            _fcntl.flock(descriptor, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
            return
        except (BlockingIOError, InterruptedError):
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
                raise CheckpointError(
                    f"{folder}: must be free to write within {patience:g} s; got a lock held by process {holder}."
                ) from None
            time.sleep(pause)
            pause = min(2 * pause, 0.05)


def _sign(descriptor: int) -> None:
    # On a full disk the id may not be written; the lock holds all the same, and the save will say that the disk is
    # full.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def write_atomically(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Puts `pieces` under `path`, whole or not at all, and on the disk when this returns.

    Raises:
        OSError: It could not; `path` is as it was and no temporary file is left.
    """
    temporary = path.parent / f".{path.stem}-{os.getpid():x}{secrets.token_hex(6)}.tmp"
    try:
        with open(temporary, "xb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:  # a KeyboardInterrupt too must leave no litter
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Forces the folder's list of names to the disk, where the system has that notion."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
