"""Plain arrays out of .npy and .npz files; a header is believed only once it agrees with the size of the file."""

import math
import os
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from energax.errors import DataError

MOST_BYTES = 4 * 2**30
_MOST_HEADER = 10_000
_MOST_MEMBERS = 64
_MOST_RATIO = 200
_RATIO_COUNTS_FROM = 16 * 2**20


def read(path: Path) -> np.ndarray:
    """The array of an .npy file.

    Raises:
        DataError: The file is damaged, longer or shorter than its header says, too big, or of no numeric dtype.
    """
    with path.open("rb") as file:
        return _array(file, str(path), os.fstat(file.fileno()).st_size)


def read_archive(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file by name.

    Raises:
        DataError: The archive is damaged, holds anything but plain arrays, or would unfold to more than is allowed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(path, members)
            arrays = {}
            for member in members:
                with archive.open(member) as file:
                    name = member.filename.removesuffix(".npy")
                    arrays[name] = _array(file, f"{path}, array {name!r}", member.file_size)
            return arrays
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError) as problem:
        if isinstance(problem, DataError):
            raise
        raise DataError(f"{path} must be a whole .npz archive; got {problem}.") from None


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    listed = [member.filename for member in members]
    if not members or len(members) > _MOST_MEMBERS:
        raise DataError(f"{path} must hold 1 to {_MOST_MEMBERS} arrays; got {len(members)}.")
    if len(set(listed)) != len(listed):
        raise DataError(f"{path} must hold each array once; got a name twice in {listed[:8]}.")
    for member in members:
        name = member.filename
        if not name.endswith(".npy") or "/" in name or "\\" in name or name.startswith(".") or ":" in name:
            raise DataError(f"{path} must hold nothing but arrays under plain names; got the entry {name[:80]!r}.")
        if member.flag_bits & 1:
            raise DataError(f"{path} must not be encrypted; got an encrypted entry {name!r}.")
        ratio = member.file_size / max(1, member.compress_size)
        if member.file_size > _RATIO_COUNTS_FROM and ratio > _MOST_RATIO:
            raise DataError(
                f"{path}: {name} must unfold to at most {_MOST_RATIO} times its size in the archive; got {ratio:.0f}."
            )
    total = sum(member.file_size for member in members)
    if total > MOST_BYTES:
        raise DataError(f"{path} must unfold to at most {MOST_BYTES} bytes; got {total}.")


def _array(file: IO[bytes], what: str, size: int) -> np.ndarray:
    """The array that an open .npy stream of `size` bytes holds."""
    shape, fortran, dtype, begins = _header(file, what)
    if dtype.hasobject or dtype.names is not None or dtype.subdtype is not None or dtype.kind not in "fiubU":
        raise DataError(f"{what} must hold plain numbers; got dtype {str(dtype)[:80]}.")
    if any(length < 0 for length in shape):
        raise DataError(f"{what} must have lengths >= 0; got shape {shape}.")
    declared = math.prod(shape) * dtype.itemsize
    if declared > MOST_BYTES:
        raise DataError(f"{what} must take at most {MOST_BYTES} bytes; its header declares {declared}.")
    if declared != size - begins:
        raise DataError(f"{what} must be as long as its header says, {declared} bytes; got {size - begins}.")
    data = file.read(declared)
    if len(data) != declared:
        raise DataError(f"{what} must hold {declared} bytes; it ended after {len(data)}.")
    file.read(1)  # a zip member checks its CRC when its end is reached
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    return np.ascontiguousarray(array.astype(dtype.newbyteorder("="), copy=False))


def _header(file: IO[bytes], what: str) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, Fortran order, dtype and the number of bytes before the data."""
    try:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise DataError(f"{what} must be an .npy file of version 1 or 2; got version {version}.")
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape, fortran, dtype = read_header(_Counted(file), max_header_size=_MOST_HEADER)
    except DataError:
        raise
    except Exception as problem:  # numpy parses the header as Python text: tokenizer, parser and dtype errors get out
        said = str(problem).splitlines()[0][:160] if str(problem) else type(problem).__name__
        raise DataError(f"{what} must begin with a sound .npy header; got {said}") from None
    return shape, fortran, dtype, file.tell()


class _Counted:
    """A stream that refuses to read a header longer than one may be, before any memory is taken for it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MOST_HEADER:
            raise ValueError(f"a header of {size} bytes, more than {_MOST_HEADER}.")
        return self._file.read(size)
