"""Fault injection: each function breaks something N times and counts what was lost and what went wrong in silence.

Functions that fork must run in a process without a JAX backend: `python faults.py NAME FOLDER N SEED` prints a tally
as JSON. The tests run small numbers, `benchmarks/faults.py` the full ones.
"""

import contextlib
import ctypes
import dataclasses
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from energax.errors import CheckpointError
from energax.runtime import checkpoint
from energax.runtime.signals import GracefulStop
from runtime.attacks.damage import damages, mutations
from runtime.attacks.tally import Tally, judge, litter, same, state_of, template


def _fork(work: Callable[[int], int]) -> tuple[int, int]:
    """Runs `work(descriptor)` in a child and leaves with its result -> (pid, reading end of its pipe)."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            os.close(reading)
            code = work(writing)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writing)
    return pid, reading


def _acknowledged(reading: int) -> list[int]:
    data = b""
    while piece := os.read(reading, 65536):
        data += piece
    os.close(reading)
    whole = len(data) // 8 * 8
    return [number for (number,) in struct.iter_unpack("<q", data[:whole])]


def kills(folder: Path, num: int, seed: int) -> Tally:
    """SIGKILL at a random moment of a loop that saves; the newest acknowledged save must be there."""
    rng, tally, size = random.Random(seed), Tally(), 20_000
    last, in_flight = 0, 0
    checkpoint.save(folder, state_of(0, size), 0)
    for _ in range(num):

        def work(writing: int, start: int = last) -> int:
            step = start
            while True:
                step += 1
                checkpoint.save(folder, state_of(step, size), step)
                os.write(writing, struct.pack("<q", step))

        pid, reading = _fork(work)
        time.sleep(rng.uniform(0.0, 0.04))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        acknowledged = _acknowledged(reading)
        tally.injected += 1
        in_flight += bool(litter(folder))
        last = judge(tally, folder, max([last, *acknowledged]), size)
    checkpoint.save(folder, state_of(last + 1, size), last + 1)
    tally.lost += len(litter(folder))
    tally.figures = {"killed inside a write": in_flight, "steps saved": last}
    return tally


def refusals(folder: Path, num: int, seed: int) -> Tally:
    """Saves that cannot succeed: file-size limit, read-only folder, full disk. The old state stays, no litter."""
    rng, tally = random.Random(seed), Tally()
    length = len(checkpoint.save(folder, state_of(1), 1).read_bytes())
    kinds = {"file-size limit": _limited, "read-only folder": _read_only}
    if _can_mount():
        kinds["full disk"] = _full_disk
    for number in range(num):
        name, room = list(kinds)[number % len(kinds)], rng.randrange(length - 1)
        pid, reading = _fork(lambda writing, name=name, room=room: kinds[name](folder, room))
        os.close(reading)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        tally.injected += 1
        tally.figures[name] = tally.figures.get(name, 0) + 1
        if code != 0:
            tally.lost += 1
            tally.note(f"{name}: exit code {code}")
        tally.lost += len(litter(folder))
        judge(tally, folder, 1)
    return tally


def _must_fail(folder: Path) -> int:
    try:
        checkpoint.save(folder, state_of(2), 2)
    except CheckpointError:
        return 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 2


def _limited(folder: Path, limit: int) -> int:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    return _must_fail(folder)


def _read_only(folder: Path, _: int) -> int:
    _drop_capabilities()
    folder.chmod(0o555)
    try:
        return _must_fail(folder)
    finally:
        folder.chmod(0o755)


def _drop_capabilities() -> None:
    """Makes root heed permissions: an empty effective set (Linux), for this process alone."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        head = struct.pack("<Ii", 0x20080522, 0)
        if libc.capset(head, bytes(24)) != 0:
            raise OSError(ctypes.get_errno(), "capset")


_NEW_NAMESPACE, _PRIVATE = 0x00020000, (1 << 18) | 16384


def _small_disk(target: Path, kibibytes: int) -> None:
    """A tiny file system on `target`, seen by this process alone; needs root."""
    libc = ctypes.CDLL(None, use_errno=True)
    steps = (
        lambda: libc.unshare(_NEW_NAMESPACE),
        lambda: libc.mount(b"none", b"/", None, ctypes.c_ulong(_PRIVATE), None),
        lambda: libc.mount(b"none", str(target).encode(), b"tmpfs", ctypes.c_ulong(0), f"size={kibibytes}k".encode()),
    )
    for each in steps:
        if each() != 0:
            raise OSError(ctypes.get_errno(), "mount")


def _can_mount() -> bool:
    def work(_: int) -> int:
        with contextlib.suppress(OSError, AttributeError):
            _small_disk(Path("/mnt"), 64)
            return 0
        return 1

    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        return False
    pid, reading = _fork(work)
    os.close(reading)
    return os.waitpid(pid, 0)[1] == 0


def _full_disk(folder: Path, room: int) -> int:
    """The same folder on a disk of its own that has `room` bytes too few; both checkpoints are looked at in there."""
    disk = folder / "disk"
    disk.mkdir(exist_ok=True)
    _small_disk(disk, 256)
    first = checkpoint.save(disk, state_of(1), 1)
    with open(disk / "filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    with open(disk / "filler", "r+b") as file:
        file.truncate(max(0, file.seek(0, os.SEEK_END) - room // 4096 * 4096))
    code = _must_fail(disk)
    inside = Tally()
    judge(inside, disk, 1)
    clean = not litter(disk) and first.exists() and not inside.lost and not inside.silent
    return code if clean else 3


def signals(folder: Path, num: int, seed: int) -> Tally:
    """SIGINT or SIGTERM at a random moment of a training loop: finish the chunk, save, leave with the right code."""
    rng, tally = random.Random(seed), Tally()
    times, last = [], 0
    for _ in range(num):

        def work(writing: int, start: int = last) -> int:
            step = start
            with GracefulStop() as stop:
                os.write(writing, struct.pack("<q", step))
                while not stop.requested:
                    hashlib.pbkdf2_hmac("sha256", b"chunk", b"", 20_000)  # like a scan: C code that hears no signal
                    step += 1
                    os.write(writing, struct.pack("<q", step))
                    if step % 3 == 0:
                        checkpoint.save(folder, state_of(step), step)
            checkpoint.save(folder, state_of(step), step)
            return stop.exit_code

        signum = rng.choice([signal.SIGINT, signal.SIGTERM])
        pid, reading = _fork(work)
        os.read(reading, 8)  # ready
        time.sleep(rng.uniform(0.0, 0.06))
        began = time.monotonic()
        os.kill(pid, signum)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        times.append(time.monotonic() - began)
        tally.injected += 1
        if code != 128 + signum:
            tally.lost += 1
            tally.note(f"signal {signum} gave exit code {code}")
        done = max([last, *_acknowledged(reading)])
        last = judge(tally, folder, done)
    tally.figures = {"p95 seconds to stop": round(float(np.quantile(times, 0.95)), 3), "slowest": round(max(times), 3)}
    return tally


def second_signals(folder: Path, num: int, seed: int) -> Tally:
    """A second signal inside a chunk of many seconds: the process leaves at once, the old checkpoint is whole."""
    rng, tally, times = random.Random(seed), Tally(), []
    checkpoint.save(folder, state_of(1), 1)
    for _ in range(num):

        def work(writing: int) -> int:
            with GracefulStop():
                os.write(writing, b"ready")
                hashlib.pbkdf2_hmac("sha256", b"chunk", b"", 30_000_000)
            return 0

        first, second = (rng.choice([signal.SIGINT, signal.SIGTERM]) for _ in range(2))
        pid, reading = _fork(work)
        os.read(reading, 5)
        time.sleep(0.05)
        os.kill(pid, first)
        time.sleep(0.35)
        began = time.monotonic()
        os.kill(pid, second)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(reading)
        times.append(time.monotonic() - began)
        tally.injected += 1
        if code != 128 + second or times[-1] > 2:
            tally.lost += 1
            tally.note(f"exit code {code} after {times[-1]:.2f} s")
        judge(tally, folder, 1)
    tally.figures = {"slowest seconds to leave": round(max(times), 3)}
    return tally


def writers(folder: Path, num: int, seed: int, processes: int = 4, saves: int = 4) -> Tally:
    """`num` races of processes that save into one folder and read it; all stays sound, the newest is there."""
    rng, tally = random.Random(seed), Tally()
    for race in range(num):
        place = folder / f"race-{race}"
        steps = list(range(1, processes * saves + 1))
        rng.shuffle(steps)

        def work(writing: int, mine: list[int], place: Path) -> int:
            for step in mine:
                checkpoint.save(place, state_of(step), step)
                os.write(writing, struct.pack("<q", step))
                found = checkpoint.latest(place, template())
                if found.notes or not same(found.state, found.meta["step"]):
                    return 1
            return 0

        shares = [steps[k::processes] for k in range(processes)]
        children = [_fork(lambda writing, mine=mine, place=place: work(writing, mine, place)) for mine in shares]
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid, _ in children]
        acknowledged = [step for _, reading in children for step in _acknowledged(reading)]
        tally.injected += 1
        if any(codes) or len(acknowledged) != len(steps):
            tally.lost += 1
            tally.note(f"exit codes {codes}")
        for path in checkpoint.list_checkpoints(place):
            found, meta = checkpoint.load(path, template())
            tally.silent += not same(found, meta["step"])
        tally.lost += len(litter(place))
        judge(tally, place, max(acknowledged, default=0))
        shutil.rmtree(place)
    return tally


def dead_holders(folder: Path, num: int, seed: int) -> Tally:
    """Processes killed while they hold the folder's lock: the next save must not wait for them."""
    from energax.runtime.disk import folder_lock

    tally, slowest = Tally(), 0.0
    for number in range(1, num + 1):

        def work(writing: int) -> int:
            with folder_lock(folder):
                os.write(writing, b"held")
                time.sleep(60)
            return 0

        folder.mkdir(exist_ok=True)
        pid, reading = _fork(work)
        os.read(reading, 4)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reading)
        began = time.monotonic()
        checkpoint.save(folder, state_of(number), number)
        slowest = max(slowest, time.monotonic() - began)
        tally.injected += 1
        judge(tally, folder, number)
    tally.lost += slowest > 5
    tally.figures = {"slowest save after a dead holder": round(slowest, 3)}
    return tally


BY_NAME: dict[str, Callable[[Path, int, int], Tally]] = {
    "kills": kills,
    "bits": lambda folder, num, seed: damages(folder, num, seed, "bit"),
    "truncations": lambda folder, num, seed: damages(folder, num, seed, "truncation"),
    "blocks": lambda folder, num, seed: damages(folder, num, seed, "block"),
    "every truncation": lambda folder, num, seed: damages(folder, num, seed, "every truncation", size=16),
    "refusals": refusals,
    "signals": signals,
    "second signals": second_signals,
    "writers": writers,
    "dead holders": dead_holders,
    "mutations": mutations,
}


def in_process_of_its_own(name: str, folder: Path, num: int, seed: int) -> Tally:
    """One of `BY_NAME` in a fresh Python, where forking is safe."""
    words = [sys.executable, __file__, name, str(folder), str(num), str(seed)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=1800)
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
    return Tally(**json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    asked, where, how_many, started_from = sys.argv[1:]
    Path(where).mkdir(parents=True, exist_ok=True)
    print(json.dumps(dataclasses.asdict(BY_NAME[asked](Path(where), int(how_many), int(started_from)))))
