"""The parameters of a restricted Boltzmann machine out of an .npz file: weights, visible_bias, hidden_bias."""

from pathlib import Path

import numpy as np

from energax.errors import DataError

from .npy_file import read_archive

NAMES = ("weights", "visible_bias", "hidden_bias")


def read_rbm(path: Path) -> dict[str, np.ndarray]:
    """W [visible, hidden], b [visible] and c [hidden] in float32; nothing in the file is executed.

    Args:
        path: Of an .npz archive with the arrays `weights`, `visible_bias` and `hidden_bias`, and no others.

    Raises:
        DataError: The archive is damaged, names other arrays, or holds shapes that do not fit or numbers that are not
            finite in float32.
        FileNotFoundError: There is no such file.
    """
    arrays = read_archive(path)
    if set(arrays) != set(NAMES):
        raise DataError(f"{path} must hold the arrays {', '.join(NAMES)}; got {', '.join(sorted(arrays))[:200]}.")
    weights = arrays["weights"]
    if weights.ndim != 2 or 0 in weights.shape:
        raise DataError(f"{path}: weights must be of shape (visible, hidden); got {weights.shape}.")
    for name, size in zip(NAMES[1:], weights.shape, strict=True):
        if arrays[name].shape != (size,):
            raise DataError(
                f"{path}: {name} must be of shape ({size},) beside weights {weights.shape}; got {arrays[name].shape}."
            )
    found = {}
    for name in NAMES:
        if arrays[name].dtype.kind not in "fiu":
            raise DataError(f"{path}: {name} must hold numbers; got dtype {arrays[name].dtype}.")
        with np.errstate(over="ignore"):  # what is too large for float32 is refused with the infinite
            found[name] = arrays[name].astype(np.float32)
        if not np.all(np.isfinite(found[name])):
            raise DataError(
                f"{path}: {name} must be finite in float32; got {np.sum(~np.isfinite(found[name]))} others."
            )
    return found
