"""One checkpoint as bytes: a header that says what must follow, arrays, and a digest over all of it.

    energax checkpoint 1\\n | length of the header, 8 bytes | header, JSON | payload, safetensors | SHA-256, 32 bytes

Nothing in a file can name code: the header is JSON of a closed schema, the payload raw numbers. A file is read in this
order: kind and size, magic, length of the header against the file, JSON (depth, duplicates, numbers), schema, sizes
against what follows, the caller's check, digest over every byte, payload against its own digest, every array against
the header. The first thing that is not as it must be ends it in a `CheckpointError`; only then are arrays handed out.
"""

import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from energax.errors import CheckpointError

from .strict import strict_json

FORMAT = 1
MAGIC = b"energax checkpoint 1\n"
MAX_HEADER = 1 << 20
_LENGTH, _DIGEST, _CHUNK = 8, 32, 1 << 20
_PLAIN = frozenset(
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split()  # noqa: SIM905
)
# Types that safetensors' NumPy side does not know travel as raw bytes under their name; the width is all that is
# needed.
_RAW_WIDTHS = {
    "bfloat16": 2, "complex64": 8, "complex128": 16, "int2": 1, "int4": 1, "uint2": 1, "uint4": 1,
    "float8_e3m4": 1, "float8_e4m3": 1, "float8_e4m3b11fnuz": 1, "float8_e4m3fn": 1, "float8_e4m3fnuz": 1,
    "float8_e5m2": 1, "float8_e5m2fnuz": 1, "float8_e8m0fnu": 1, "float4_e2m1fn": 1,
}  # fmt: skip
_HEX = re.compile(r"[0-9a-f]{64}")


class Misfit(CheckpointError):
    """A sound checkpoint, but of another state than the one it is to be loaded into."""


class Leaf(NamedTuple):
    """What the header says of one array.

    Attributes:
        dtype: Name of its type, for instance "float32".
        shape: Its shape.
        prng: Name of the random-number generator if the array is the data of typed keys, else "".
    """

    dtype: str
    shape: tuple[int, ...]
    prng: str = ""

    def __str__(self) -> str:
        kind = f"{self.prng} keys as {self.dtype}" if self.prng else self.dtype
        return f"{kind}{list(self.shape)}"

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        width = _RAW_WIDTHS[self.dtype] if self.dtype in _RAW_WIDTHS else np.dtype(self.dtype).itemsize
        return width * math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """All that a checkpoint says of itself.

    Attributes:
        step: Training steps done.
        leaves: Tree path -> array.
        plain: Tree path -> `repr` of each number, boolean or text leaf, which must be alike in the state loaded into.
        meta: What the writer added, plain JSON.
        config: Digest of the run's configuration, or "".
        score: What the writer judged the state by, lower is better; None where it did not.
        versions: "energax", "jax", "jaxlib", "numpy", "prng" (default generator), "partitionable" ("True" or "False").
    """

    step: int
    leaves: Mapping[str, Leaf]
    plain: Mapping[str, str]
    meta: Mapping[str, Any]
    config: str
    score: float | None
    versions: Mapping[str, str]


_VERSIONS = ("energax", "jax", "jaxlib", "numpy", "prng", "partitionable")


def encode(header: Header, arrays: Mapping[str, np.ndarray]) -> Iterator[bytes]:
    """The pieces of the file, in order; the same state gives the same bytes.

    Args:
        header: What to say; its leaves must be those of `arrays`.
        arrays: Tree path -> array in host memory, of a type the header names.

    Raises:
        CheckpointError: The header is longer than 1 MiB or holds what JSON cannot.
    """
    from safetensors.numpy import save

    payload = save({path: _outgoing(header.leaves[path], array) for path, array in arrays.items()})
    table = {
        path: {"dtype": leaf.dtype, "shape": list(leaf.shape), "prng": leaf.prng}
        for path, leaf in header.leaves.items()
    }
    fields = {
        "format": FORMAT, "step": header.step, "versions": dict(header.versions), "config": header.config,
        "score": header.score, "meta": dict(header.meta), "plain": dict(header.plain), "leaves": table,
        "payload_bytes": len(payload), "payload_sha256": hashlib.sha256(payload).hexdigest(),
    }  # fmt: skip
    try:
        text = json.dumps(fields, allow_nan=False, sort_keys=True, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"checkpoint: meta must be finite plain JSON; got {error}.") from None
    if len(text) > MAX_HEADER:
        got = f"{len(text)} for {len(table)} arrays: put less into meta"
        raise CheckpointError(f"checkpoint: the header must fit in {MAX_HEADER} bytes; got {got}.")
    parse_header(text, "checkpoint")  # what could not be read back is not written
    digest = hashlib.sha256()
    for piece in (MAGIC, len(text).to_bytes(_LENGTH, "little"), text, payload):
        digest.update(piece)
        yield piece
    yield digest.digest()


def read(path: Path, check: Callable[[Header], None]) -> tuple[Header, dict[str, np.ndarray]]:
    """The header and the arrays of a file, every one of them verified.

    The arrays are read once, so that the bytes that were verified are the bytes that are used, and only if the header
    claims what the caller can use: no file can make this allocate more than its reader asked for.

    Args:
        path: The file.
        check: Called with the header before it is verified; raises CheckpointError if the arrays would not fit.

    Raises:
        CheckpointError: Anything at all is not as it must be. Whatever `check` raised, if the file is sound.
    """
    with _open(path) as (file, size):
        first = _exactly(path, file, len(MAGIC) + _LENGTH)
        text = _exactly(path, file, _header_length(path, first, size))
        digest = hashlib.sha256(first + text)
        room = size - len(first) - len(text) - _DIGEST
        try:
            header, named = parse_header(text, str(path), payload_bytes=room)
            check(header)
        except CheckpointError:
            for start in range(0, room, _CHUNK):  # damage comes first: it explains all the rest
                digest.update(_exactly(path, file, min(_CHUNK, room - start)))
            _compare(path, digest, _exactly(path, file, _DIGEST))
            raise
        payload = _exactly(path, file, room)
        digest.update(payload)
        _compare(path, digest, _exactly(path, file, _DIGEST))
    if not _same_digest(payload, named):
        raise CheckpointError(f"{path}: the arrays must have the SHA-256 that the header names; got another.")
    return header, _incoming(header, payload, str(path))


def _compare(path: Path, digest: Any, trailer: bytes) -> None:
    if digest.digest() != trailer:
        raise CheckpointError(f"{path}: must carry the SHA-256 of its contents; got another: the file is damaged.")


def _same_digest(payload: bytes, named: str) -> bool:
    return hashlib.sha256(payload).hexdigest() == named


def peek(path: Path) -> Header:
    """The header alone, not verified by the digest: for choosing among files, never for loading.

    Raises:
        CheckpointError: The file is not a checkpoint or its header is not one.
    """
    with _open(path) as (file, size):
        length = _header_length(path, _exactly(path, file, len(MAGIC) + _LENGTH), size)
        return parse_header(_exactly(path, file, length), str(path))[0]


def parse_header(text: bytes, owner: str, payload_bytes: int | None = None) -> tuple[Header, str]:
    """The header that `text` is, and the payload's digest it names.

    Args:
        text: The bytes between the length and the payload.
        owner: Who complains: the file's name.
        payload_bytes: Bytes that really follow; None if that is not known.

    Raises:
        CheckpointError: The text is no JSON, or not of the closed schema, or its sizes contradict `payload_bytes`.
    """
    try:
        fields = strict_json(text)
    except ValueError as error:
        raise CheckpointError(f"{owner}: the header must be sound JSON; got {error}.") from None
    try:
        return _checked_header(fields, payload_bytes)
    except _Refusal as refusal:
        raise CheckpointError(f"{owner}: {refusal}.") from None


class _Refusal(Exception):
    """Half a sentence: what must be and what was got."""


def _demand(holds: bool, must: str, got: Any) -> None:
    if not holds:
        shown = repr(got)
        raise _Refusal(f"{must}; got {shown if len(shown) <= 80 else shown[:77] + '...'}")


_FIELDS = {
    "format",
    "step",
    "versions",
    "config",
    "score",
    "meta",
    "plain",
    "leaves",
    "payload_bytes",
    "payload_sha256",
}


def _checked_header(fields: Any, payload_bytes: int | None) -> tuple[Header, str]:
    _demand(isinstance(fields, dict), "the header must be a JSON object", type(fields).__name__)
    _demand(
        _natural(fields.get("format")) and fields["format"] == FORMAT,
        f"the format must be {FORMAT}",
        fields.get("format"),
    )
    _demand(set(fields) == _FIELDS, f"the header must have the fields {sorted(_FIELDS)}", sorted(fields))
    _demand(_natural(fields["step"]), "step must be an integer in [0, 2**63)", fields["step"])
    versions, config, score = fields["versions"], fields["config"], fields["score"]
    right = (
        isinstance(versions, dict)
        and set(versions) == set(_VERSIONS)
        and all(isinstance(v, str) for v in versions.values())
    )
    _demand(right, f"versions must be texts under {sorted(_VERSIONS)}", versions)
    _demand(isinstance(config, str), "config must be text", config)
    _demand(
        score is None or (isinstance(score, int | float) and not isinstance(score, bool)),
        "score must be a number",
        score,
    )
    for name in ("meta", "plain", "leaves"):
        _demand(isinstance(fields[name], dict), f"{name} must be a JSON object", fields[name])
    _demand(all(isinstance(v, str) for v in fields["plain"].values()), "plain must hold texts only", fields["plain"])
    leaves = {path: _checked_leaf(path, entry) for path, entry in fields["leaves"].items()}
    size, digest = fields["payload_bytes"], fields["payload_sha256"]
    _demand(_natural(size), "payload_bytes must be an integer in [0, 2**63)", size)
    _demand(
        isinstance(digest, str) and _HEX.fullmatch(digest) is not None, "payload_sha256 must be 64 hex digits", digest
    )
    _demand(
        payload_bytes is None or size == payload_bytes,
        f"payload_bytes must be {payload_bytes}, what follows the header",
        size,
    )
    # safetensors' own header adds a little; the arrays must account for the rest, so no size can be claimed beyond
    # the file.
    total = sum(leaf.nbytes for leaf in leaves.values())
    _demand(
        total <= size <= total + 8 + 4 * MAX_HEADER,
        f"the arrays must take about the {size} bytes of the payload",
        total,
    )
    score = None if score is None else float(score)
    return Header(fields["step"], leaves, fields["plain"], fields["meta"], config, score, versions), digest


def _checked_leaf(path: str, entry: Any) -> Leaf:
    fields = {"dtype", "shape", "prng"}
    _demand(isinstance(entry, dict) and set(entry) == fields, f"leaf {path!r} must have {sorted(fields)}", entry)
    dtype, shape, prng = entry["dtype"], entry["shape"], entry["prng"]
    _demand(isinstance(dtype, str) and is_storable(dtype), f"leaf {path!r} must have a type of numbers", dtype)
    _demand(isinstance(shape, list) and len(shape) <= 64, f"leaf {path!r} must have a shape of at most 64 axes", shape)
    _demand(all(_natural(n) for n in shape), f"leaf {path!r} must have a shape of integers in [0, 2**63)", shape)
    _demand(isinstance(prng, str), f"leaf {path!r} must name its generator by text", prng)
    return Leaf(dtype, tuple(shape), prng)


def is_storable(dtype: str) -> bool:
    """Whether arrays of this type can be saved."""
    return dtype in _PLAIN or dtype in _RAW_WIDTHS


def _natural(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _outgoing(leaf: Leaf, array: np.ndarray) -> np.ndarray:
    array = np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")
    return array if leaf.dtype in _PLAIN else np.frombuffer(array.tobytes(), np.uint8)


def _incoming(header: Header, payload: bytes, owner: str) -> dict[str, np.ndarray]:
    from safetensors.numpy import load

    try:
        stored = load(payload)
    except Exception as error:  # whatever a parser of foreign bytes may raise, it is one thing here
        raise CheckpointError(
            f"{owner}: the payload must be safetensors; got {type(error).__name__}: {error}."
        ) from None
    if set(stored) != set(header.leaves):
        odd = sorted(set(stored) ^ set(header.leaves))[0]
        raise CheckpointError(
            f"{owner}: header and payload must name the same arrays; got {odd!r} in only one of them."
        )
    arrays = {}
    for path, leaf in header.leaves.items():
        array = stored[path]
        plain = leaf.dtype in _PLAIN
        must = (leaf.dtype, leaf.shape) if plain else ("uint8", (leaf.nbytes,))
        if (array.dtype.name, array.shape) != must:
            raise CheckpointError(
                f"{owner}: array {path!r} must be {must[0]}{list(must[1])}; got {array.dtype.name}{list(array.shape)}."
            )
        arrays[path] = array.copy() if plain else _from_raw(array, leaf, path, owner)
    return arrays


def _from_raw(array: np.ndarray, leaf: Leaf, path: str, owner: str) -> np.ndarray:
    try:
        return np.frombuffer(array.tobytes(), _dtype(leaf.dtype, owner)).reshape(leaf.shape).copy()
    except ValueError as error:
        raise CheckpointError(f"{owner}: array {path!r} must be {leaf}; got bytes that are not: {error}.") from None


def _dtype(name: str, owner: str) -> np.dtype:
    """The NumPy type of a name in `_RAW_WIDTHS`: a closed list, so that a file cannot choose what is looked up."""
    if name.startswith("complex"):
        return np.dtype(name)
    import ml_dtypes

    found = getattr(ml_dtypes, name, None)
    if found is None:
        raise CheckpointError(
            f"{owner}: the type {name} must be known to the installed ml_dtypes; got none of that name."
        )
    return np.dtype(found)


class _open:
    """A regular file opened for reading, with its size; a pipe or a device is refused and never waited for."""

    def __init__(self, path: Path):
        self.path = Path(path)

    def __enter__(self) -> tuple[Any, int]:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{self.path}: must be a readable checkpoint; got {error}.") from None
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            os.close(descriptor)
            raise CheckpointError(f"{self.path}: must be a regular file; got another kind.")
        self.file = os.fdopen(descriptor, "rb")
        return self.file, about.st_size

    def __exit__(self, *_: object) -> None:
        self.file.close()


def _header_length(path: Path, first: bytes, size: int) -> int:
    if first[: len(MAGIC)] != MAGIC:
        raise CheckpointError(
            f"{path}: must begin with {MAGIC!r}; got {first[: len(MAGIC)]!r}: not a checkpoint of this format."
        )
    length, room = int.from_bytes(first[len(MAGIC) :], "little"), size - len(first) - _DIGEST
    if length > min(MAX_HEADER, room):
        raise CheckpointError(
            f"{path}: the header must be at most {max(0, min(MAX_HEADER, room))} bytes; got {length}."
        )
    return length


def _exactly(path: Path, file: Any, count: int) -> bytes:
    try:
        data = file.read(count)
    except (OSError, MemoryError) as error:
        raise CheckpointError(f"{path}: must be readable to its end; got {type(error).__name__}: {error}.") from None
    if len(data) != count:
        raise CheckpointError(f"{path}: must hold {count} more bytes; got {len(data)}: the file is cut short.")
    return data
