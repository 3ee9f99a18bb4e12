"""Bars and stripes: binary images of whole rows or whole columns, all of them known and equally likely."""

import numpy as np

from . import checks
from .dataset import Dataset


def bars_and_stripes(size: int = 3) -> np.ndarray:
    """All distinct patterns of a size x size image, 2^(size + 1) - 2 of them, as bits, sorted; float32 `[n, pixels]`.

    Source: MacKay (2003), Information theory, inference, and learning algorithms, chapter 43.

    Args:
        size: Rows and columns of the image, 2 to 10.

    Raises:
        ValueError: `size` is out of range.

    Example:
        >>> bars_and_stripes(2).tolist()[:3]
        [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]]
        >>> bars_and_stripes().shape
        (14, 9)
    """
    checks.count("bars_and_stripes", "size", size)
    if not 2 <= size <= 10:
        raise ValueError(f"bars_and_stripes.size must be 2 to 10; got {size}.")
    lines = (np.arange(2**size)[:, None] >> np.arange(size)) & 1
    bars = np.repeat(lines[:, :, None], size, axis=2)
    both = np.concatenate([bars, bars.transpose(0, 2, 1)]).reshape(-1, size * size)
    return np.unique(both, axis=0).astype(np.float32)


def draw_bars_and_stripes(*, n_train: int = 5_000, seed: int = 0) -> Dataset:
    """Independent draws of the fourteen 3 x 3 patterns, images of one channel."""
    checks.count("bars-and-stripes", "n_train", n_train, least=2)
    rng = np.random.default_rng(checks.count("bars-and-stripes", "seed", seed, least=0))
    patterns = bars_and_stripes()
    x = patterns[rng.integers(len(patterns), size=n_train)].reshape(-1, 3, 3, 1)
    return Dataset("bars-and-stripes", x, None, 0.0, 1.0, "drawn from a known law", "none needed")
