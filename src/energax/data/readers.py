"""A user's own samples: an .npy, .npz or .csv file, or a folder of images.

Nothing in a file is ever run: no pickles, no object arrays. What a file declares (shapes, sizes, pixels) is compared
with what it holds and with a limit before memory is taken for it. What cannot be a sample set is refused in one
sentence that names the file and the place.

How arrays are understood: unsigned bytes of rank 3 or 4 are images with levels 0 ... 255 and become [-1, 1];
everything else keeps its numbers. Rank 3 is `[n, height, width]`, rank 4 `[n, height, width, channels]`.
"""

from pathlib import Path
from typing import Any

import numpy as np

from energax.errors import DataError

from . import checks, csv_file, image_folder, npy_file
from .dataset import Dataset
from .images import check_layout, keep_classes
from .tables import standardised

ENDINGS = (".npy", ".npz", ".csv")
_LARGEST_FLOAT = float(np.finfo(np.float32).max)
_EXACT_INTEGERS = 2**24


def read(
    path: Path,
    *,
    layout: str = "image",
    labels: str | None = None,
    classes: tuple[int, ...] | None = None,
    standardise: bool = False,
    allow_constant: bool = False,
) -> Dataset:
    """The samples in a file or folder.

    Args:
        path: A file ending in .npy, .npz or .csv, or a folder of images (all of one size; sub-folders are classes).
        layout: "image" for `[n, height, width, channels]`, "flat" for rows. Images only; a table has one layout.
        labels: Where the classes are: the array's name in an .npz (None: "y" if there is one), the column of a .csv
            (None: no labels). The samples of an .npz are its array "x", or the only other one.
        classes: Classes to keep; None keeps all.
        standardise: Centre every column of a table and divide it by its standard deviation over the whole table.
        allow_constant: Take a table with a column that never changes; refused otherwise, since its density is none.

    Raises:
        DataError: The file is missing, damaged, or does not hold a sample set; the message says where and why.
        ValueError: An option is out of range.
    """
    path = Path(path)
    check_layout(layout)
    checks.choice("read", "standardise", standardise, (True, False))
    checks.choice("read", "allow_constant", allow_constant, (True, False))
    if labels is not None and (not isinstance(labels, str) or not labels):
        raise ValueError(f"read.labels must be the name of an array or column; got {labels!r}.")
    x, y = _arrays(path, labels)
    x, low, high = _samples(path, x)
    if x.ndim == 2:
        x = _table(path, x, standardise, allow_constant)
        low, high = float(x.min()), float(x.max())
    elif standardise:
        raise DataError(f"{path}: standardise must be False for images; got True.")
    data = Dataset(str(path), x, _labels(path, y, len(x)), low, high, f"file {path.name}", "the user's own")
    data = keep_classes(data, classes)
    return data.flattened() if layout == "flat" and data.is_image else data


def _arrays(path: Path, labels: str | None) -> tuple[np.ndarray, Any]:
    """Samples and labels (or None) as the file holds them."""
    try:
        if path.is_dir():
            if labels is not None:
                raise DataError(f"{path}: labels must be None for a folder, whose sub-folders are; got {labels!r}.")
            return image_folder.read(path)
        if not path.exists():
            raise DataError(f"{path} must be a file or a folder; there is nothing of that name.")
        ending = path.suffix.lower()
        if not path.is_file() or ending not in ENDINGS:
            raise DataError(
                f"{path} must be a file ending in {', '.join(ENDINGS)} or a folder of images; got {ending!r}."
            )
        if ending == ".csv":
            return csv_file.read(path, labels)
        if ending == ".npz":
            return _pick(path, npy_file.read_archive(path), labels)
        if labels is not None:
            raise DataError(f"{path}: labels must be None for an .npy file, which holds one array; got {labels!r}.")
        return npy_file.read(path), None
    except OSError as problem:
        raise DataError(f"{path} could not be read: {problem.strerror or problem}.") from None


def _pick(path: Path, arrays: dict[str, np.ndarray], labels: str | None) -> tuple[np.ndarray, np.ndarray | None]:
    if labels is not None and labels not in arrays:
        raise DataError(f"{path} must hold an array {labels!r} for the labels; got {sorted(arrays)}.")
    label_name = labels if labels is not None else ("y" if "y" in arrays and len(arrays) > 1 else None)
    rest = [name for name in arrays if name != label_name]
    if "x" in rest:
        name = "x"
    elif len(rest) == 1:
        name = rest[0]
    else:
        raise DataError(
            f"{path} must hold its samples as 'x' or as the only array beside labels; got {sorted(arrays)}."
        )
    return arrays[name], None if label_name is None else arrays[label_name]


def _samples(path: Path, x: np.ndarray) -> tuple[np.ndarray, float, float]:
    """The samples as float32 `[n, d]` or `[n, height, width, channels]` beside their range."""
    checks.rows(f"{path}: the samples", x)
    if x.ndim > 4:
        raise DataError(f"{path}: the samples must have rank 2, 3 or 4; got shape {x.shape}.")
    if x.ndim == 4 and x.shape[3] not in (1, 3):
        raise DataError(
            f"{path}: images must be [n, height, width, channels] with 1 or 3 channels; got shape {x.shape}."
        )
    if x.ndim == 3:
        x = x[..., None]
    if x.dtype == np.uint8 and x.ndim == 4:
        return x.astype(np.float32) / np.float32(127.5) - np.float32(1.0), -1.0, 1.0
    if x.dtype.kind in "iu" and x.dtype.itemsize > 2:
        largest = max(abs(int(x.min())), abs(int(x.max())))
        if largest > _EXACT_INTEGERS:
            raise DataError(f"{path}: integers must be within 2**24, or float32 would round them; got {largest}.")
    farthest = max(abs(float(x.min())), abs(float(x.max())))
    if farthest > _LARGEST_FLOAT:
        raise DataError(f"{path}: values must fit float32, within {_LARGEST_FLOAT:.3g}; got {farthest:.3g}.")
    x = x.astype(np.float32)
    return x, float(x.min()), float(x.max())


def _table(path: Path, x: np.ndarray, standardise: bool, allow_constant: bool) -> np.ndarray:
    constant = np.flatnonzero(x.max(axis=0) == x.min(axis=0))
    if constant.size and (standardise or not allow_constant):
        why = "to be standardised" if standardise else "or be allowed by energax.data.load(..., allow_constant=True)"
        raise DataError(
            f"{path}: every column must vary, {why}; got {len(constant)} constant, the first is {constant[0]}."
        )
    return standardised(x) if standardise else x


def _labels(path: Path, y: Any, n: int) -> np.ndarray | None:
    """Labels as int64 `[n]`: integers as they are, whole floats as integers, texts by rank in sorted order."""
    if y is None:
        return None
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.shape != (n,):
        raise DataError(f"{path}: labels must have shape [{n}], one for each sample; got shape {y.shape}.")
    if y.dtype.kind == "U":
        return np.unique(y, return_inverse=True)[1].astype(np.int64)
    whole = y.dtype.kind in "iub" or (y.dtype.kind == "f" and np.all(np.isfinite(y)) and np.all(y == np.rint(y)))
    if not whole or np.any(np.abs(y.astype(np.float64)) > 2**53):
        raise DataError(f"{path}: labels must be whole numbers or texts; got dtype {y.dtype} with other values.")
    return y.astype(np.int64)
