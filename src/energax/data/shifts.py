"""Sets that are not the data, to be told from them by an energy: hard ones, and easy ones for comparison.

Uniform noise, shuffled pixels and inverted images are told from digits by a plain Gaussian without one error; a good
score there proves nothing. Upside-down images, blends and samples of the fitted Gaussian are hard. A left-out class,
the hardest of all, is made by `Dataset.without_class` and `Dataset.only_class` before training.
"""

import numpy as np

from energax.errors import DataError

from . import checks
from .dataset import Dataset

IMAGE_SETS = ("upside-down", "blends", "gaussian-fit", "uniform", "shuffled-pixels", "inverted")
TABLE_SETS = ("blends", "gaussian-fit", "uniform", "shuffled-columns")


def ood_sets(train: Dataset, test: Dataset, seed: int) -> dict[str, np.ndarray]:
    """Out-of-distribution sets of the size and layout of the held-out samples.

    Args:
        train: What the model was trained on; fits the Gaussian.
        test: Held-out samples of the same layout; the other sets are made from them. At least 2.
        seed: Non-negative integer; each set has a random stream of its own.

    Returns:
        Arrays float32 of the shape of `test.x` by name. Images: "upside-down" (rows in reverse order), "blends" (mean
        of two held-out images, of different classes where there are several), "gaussian-fit" (mean and covariance of
        the training set), "uniform" (on `[low, high]`), "shuffled-pixels" (an order of its own for every image, the
        channels of a pixel together), "inverted" (low + high - x). Other samples: "blends", "gaussian-fit", "uniform"
        and "shuffled-columns" (every column shuffled over the samples: the margins stay, the dependence goes).

    Raises:
        DataError: The two sets differ in layout, or there is one held-out sample only.

    Example:
        >>> from energax.data import load
        >>> train, test = load("digits").split(0.2, seed=0)
        >>> sets = ood_sets(train, test, seed=0)
        >>> sorted(sets)
        ['blends', 'gaussian-fit', 'inverted', 'shuffled-pixels', 'uniform', 'upside-down']
    """
    checks.count("ood_sets", "seed", seed, least=0)
    if train.shape != test.shape or train.image_shape != test.image_shape:
        raise DataError(f"ood_sets: train and test must have one layout; got {train.shape} and {test.shape}.")
    if len(test) < 2:
        raise DataError(f"ood_sets: test must hold at least 2 samples; got {len(test)}.")
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(4)]
    flat = {
        "blends": _blends(streams[0], test),
        "gaussian-fit": _gaussian(streams[1], train, len(test)),
        "uniform": streams[2].uniform(test.low, test.high, size=(len(test), test.dim)),
    }
    if test.image_shape is None:
        flat["shuffled-columns"] = streams[3].permuted(test.flat(), axis=0)
    else:
        height, width, channels = test.image_shape
        images = test.flat().reshape(-1, height, width, channels)
        flat["upside-down"] = images[:, ::-1]
        order = np.argsort(streams[3].random((len(test), height * width)), axis=1)
        flat["shuffled-pixels"] = np.take_along_axis(images.reshape(len(test), -1, channels), order[:, :, None], axis=1)
        flat["inverted"] = test.low + test.high - images
    names = TABLE_SETS if test.image_shape is None else IMAGE_SETS
    return {name: np.ascontiguousarray(flat[name].reshape(test.x.shape), np.float32) for name in names}


def _blends(rng: np.random.Generator, test: Dataset) -> np.ndarray:
    """Mean of every sample and a partner: of another class, or simply another one where there are no two."""
    n, flat = len(test), test.flat()
    if test.y is None or len(test.classes) < 2:
        partner = (np.arange(n) + rng.integers(1, n, size=n)) % n
        return 0.5 * (flat + flat[partner])
    partner = np.empty(n, np.int64)
    for c in test.classes:
        here, others = np.flatnonzero(test.y == c), np.flatnonzero(test.y != c)
        partner[here] = rng.choice(others, size=len(here))
    return 0.5 * (flat + flat[partner])


def _gaussian(rng: np.random.Generator, train: Dataset, n: int) -> np.ndarray:
    rows = train.flat().astype(np.float64)
    mean = rows.mean(axis=0)
    # Principal axes rather than Cholesky: a coordinate that never changes keeps its value.
    _, singular, axes = np.linalg.svd(rows - mean, full_matrices=False)
    return mean + (rng.standard_normal((n, len(singular))) * singular / np.sqrt(len(rows))) @ axes
