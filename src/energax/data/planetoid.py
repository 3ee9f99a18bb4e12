"""Citation graphs as files: Planetoid's eight (as torch-geometric keeps them in `raw/`), and Cora's two texts.

Planetoid's files are pickles of Python 2. They are read by an unpickler that knows six names and answers each with an
inert stand-in of this file; numpy and scipy are not called on behalf of a file, and any other name is refused.

Source: Yang, Cohen and Salakhutdinov (2016), Revisiting semi-supervised learning with graph embeddings,
arXiv:1603.08861, for the files; Sen et al. (2008), doi:10.1609/aimag.v29i3.2157, for Cora's texts.
"""

import io
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from energax.errors import DataError

from .graph import Graph, both

PARTS = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")
CORA_CLASSES = (
    "Theory", "Reinforcement_Learning", "Genetic_Algorithms", "Neural_Networks", "Probabilistic_Methods", "Case_Based",
    "Rule_Learning",
)  # fmt: skip
"""Cora's classes in Planetoid's order, so that a number means the same class in both kinds of files."""
_DTYPES = {"f4", "f8", "i4", "i8", "u1"}
_MOST_NODES = 1_000_000
_MOST_NUMBERS = 500_000_000  # 2 GB of float32


class _Stand:
    """What a file may build: it takes the state that it is given and does nothing with it."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _DType(_Stand):
    def __init__(self, code: str = "", *_: Any) -> None:
        self.code = code


class _Array(_Stand):
    pass


class _Matrix(_Stand):
    pass


class _NumpyArray:
    """The name `numpy.ndarray`, which is handed to `_reconstruct` and never called."""


class _List:
    """The name `list`, which is handed to `defaultdict` and never called."""


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _default_dict(*_: Any) -> dict:
    return {}


_NAMES: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _NumpyArray,
    ("numpy", "dtype"): _DType,
    ("scipy.sparse.csr", "csr_matrix"): _Matrix,
    ("collections", "defaultdict"): _default_dict,
    ("__builtin__", "list"): _List,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        # Python 3 moves __builtin__ to builtins before it asks
        found = _NAMES.get(("__builtin__" if module == "builtins" else module, name))
        if found is None:
            raise DataError(f"A citation file must name nothing but arrays; got {f'{module}.{name}'[:80]!r}.")
        return found


def read_planetoid(folder: str | Path, name: str) -> Graph:
    """The graph of a folder with `ind.NAME.x` and its seven siblings, such as torch-geometric's `Planetoid/Cora/raw`.

    Nodes without a label (15 of Citeseer) are left out, as are loops and doubles.

    Args:
        folder: The folder, or one above it (`raw`, `NAME/raw`).
        name: cora, citeseer or pubmed, in the names of the files.

    Raises:
        DataError: A file is missing, damaged, or holds anything but arrays.
    """
    found = _folder(Path(folder), name)
    return graph_of(name, lambda part: (found / f"ind.{name}.{part}").read_bytes(), f"Planetoid files in {found}")


def graph_of(name: str, read: Callable[[str], bytes], source: str, licence: str = "none stated") -> Graph:
    """The graph of eight Planetoid files.

    Args:
        name: What to call it.
        read: From a part's name ("x", "graph", "test.index", ...) to the bytes of its file.
        source: Where they come from, in words.
        licence: Their licence.

    Raises:
        DataError: A file is damaged or does not fit the others.
    """
    try:
        parts = {part: _unpickled(part, read(part)) for part in PARTS[:-1]}
        order = np.array(read("test.index").split(), np.int64)
        return _assembled(name, parts, order, source, licence)
    except DataError:
        raise
    except (OSError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError, MemoryError) as problem:
        raise DataError(f"{name}: the Planetoid files must be whole and fit; got {str(problem)[:200]!r}.") from None


def read_cora(content: bytes, cites: bytes, source: str, licence: str = "none stated") -> Graph:
    """Cora from its two texts: `content` (paper, 1,433 words, class a line) and `cites` (cited, citing a line).

    Classes are numbered as in Planetoid's files (`CORA_CLASSES`); papers come in the text's order, which is another.

    Raises:
        DataError: A line is not as it must be.
    """
    try:
        rows = [line.split(b"\t") for line in content.splitlines() if line.strip()]
        place = {row[0]: i for i, row in enumerate(rows)}
        x = np.array([row[1:-1] for row in rows]).astype(np.float32)
        y = np.array([CORA_CLASSES.index(row[-1].decode()) for row in rows])
        pairs = [line.split() for line in cites.splitlines() if line.strip()]
        edges = np.array([(place[a], place[b]) for a, b in pairs if a in place and b in place]).reshape(-1, 2).T
    except (ValueError, KeyError, IndexError) as problem:
        raise DataError(
            f"cora: the texts must hold a paper or a citation a line; got {str(problem)[:200]!r}."
        ) from None
    return Graph("cora", x, y, edges, True, source, licence)


def _folder(folder: Path, name: str) -> Path:
    for place in (folder, folder / "raw", *(p / "raw" for p in sorted(folder.glob("*")) if p.name.lower() == name)):
        if (place / f"ind.{name}.x").is_file():
            return place
    raise DataError(f"{folder} must hold ind.{name}.x, or raw/ or {name.capitalize()}/raw/ with it; got none of them.")


def _unpickled(part: str, raw: bytes) -> Any:
    try:
        found = _Unpickler(io.BytesIO(raw), encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, UnicodeError, MemoryError) as problem:
        raise DataError(f"The Planetoid file {part!r} must be a whole pickle; got {str(problem)[:200]!r}.") from None
    if isinstance(found, dict):
        return found
    return _matrix(found) if isinstance(found, _Matrix) else _array(found)


def _array(stand: Any) -> np.ndarray:
    if not isinstance(stand, _Array) or not isinstance(stand.state, tuple) or len(stand.state) != 5:
        raise DataError(f"A citation file must hold arrays; got {type(stand).__name__.strip('_')}.")
    _, shape, dtype, fortran, data = stand.state
    if not isinstance(dtype, _DType) or dtype.code not in _DTYPES or fortran or dtype.state[1] not in ("<", "|"):
        raise DataError("A citation file must hold plain little-endian numbers in C order; got another layout.")
    raw = data.encode("latin1") if isinstance(data, str) else data
    kind = np.dtype(dtype.code).newbyteorder("<")
    if math.prod(shape) * kind.itemsize != len(raw):
        raise DataError(f"An array of shape {shape} must hold its bytes; got {len(raw)}.")
    return np.frombuffer(raw, kind).reshape(shape)


def _matrix(stand: _Matrix) -> sparse.csr_array:
    state = stand.state
    shape = tuple(state["_shape"])
    if len(shape) != 2 or max(shape) > _MOST_NODES:
        raise DataError(f"A matrix of features must have at most {_MOST_NODES} rows and columns; got {shape}.")
    made = sparse.csr_array(tuple(_array(state[part]) for part in ("data", "indices", "indptr")), shape=shape)
    made.check_format(full_check=True)
    return made


def _assembled(name: str, parts: dict[str, Any], order: np.ndarray, source: str, licence: str) -> Graph:
    """Test rows come in the order of `test.index`; numbers that it skips are papers without a label."""
    known, last = parts["allx"].shape[0], int(order.max()) + 1
    if len(order) != parts["tx"].shape[0] or order.min() < known or last > _MOST_NODES:
        raise DataError(f"{name}: test.index must name one node a row of tx, beyond those of allx; got {len(order)}.")
    if last * max(parts["allx"].shape[1], parts["ally"].shape[1]) > _MOST_NUMBERS:
        raise DataError(f"{name}: features and labels must be at most {_MOST_NUMBERS:,} numbers; got more.")
    x = np.zeros((last, parts["allx"].shape[1]), np.float32)
    hot = np.zeros((last, parts["ally"].shape[1]))
    x[:known], x[order] = parts["allx"].toarray(), parts["tx"].toarray()
    hot[:known], hot[order] = parts["ally"], parts["ty"]
    lists = parts["graph"]
    pairs = np.array([(a, b) for a, near in lists.items() for b in near], np.int64).reshape(-1, 2).T
    if pairs.size and (pairs.min() < 0 or pairs.max() >= last):
        raise DataError(f"{name}: the graph must name nodes in [0, {last}); got {pairs.min()} to {pairs.max()}.")
    whole = Graph(name, x, hot.argmax(axis=1), both(pairs), bool(np.isin(x, (0.0, 1.0)).all()), source, licence)
    labelled = hot.sum(axis=1) > 0
    return whole if labelled.all() else whole.part(labelled)
