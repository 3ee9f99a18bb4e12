"""How far samples are from data: MMD, sliced Wasserstein, a classifier's two-sample test, class shares, nearest points.

Source: MMD: Gretton et al. (2012), A kernel two-sample test, JMLR 13:723, eq. (3) (unbiased); sliced Wasserstein:
Bonneel et al. (2015), doi:10.1007/s10851-014-0506-3; classifier two-sample test: Lopez-Paz and Oquab (2017),
arXiv:1610.06545.
Every distance comes beside its floor: the same figure for as many *training* samples against the same held-out set. A
model at the floor cannot be told from data by that distance at that size; a figure without its floor says nothing.
Cost: O(n^2 dim) for n samples; n is the smallest of the three sets. Fails: MMD sees little in high dimension, the
classifier only what a nearest-neighbour or linear rule sees, and no distance here sees copying but the nearest points.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from energax.core import checks

from .rows import as_rows, jackknife_error, picked, same_width

_WIDTHS = (0.5, 1.0, 2.0)  # kernel widths in units of the median distance


@dataclass(frozen=True)
class Distance:
    """A distance of samples to held-out data beside its floor.

    Attributes:
        value: Samples against held-out data.
        floor: As many training samples against the same held-out data.
        se: Standard error of `value`.
        floor_se: Standard error of `floor`.
        p_value: Probability of a `value` as large if samples and held-out data had one law; None where not computed.
        num: Samples in each set.
    """

    value: float
    floor: float
    se: float
    floor_se: float
    p_value: float | None
    num: int

    def as_dict(self) -> dict:
        """The fields by name."""
        return asdict(self)


def against_floor(
    owner: str,
    distance: Callable[[np.ndarray, np.ndarray], float],
    samples: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    seed: int,
    *,
    error: Callable[[np.ndarray, np.ndarray], float] | None = None,
    max_points: int = 2000,
) -> Distance:
    """`distance(samples, test)` beside `distance(train, test)` on equally many rows of each, with standard errors."""
    samples, train, test = equal_parts(owner, samples, train, test, seed, max_points)

    def spread(a: np.ndarray, b: np.ndarray) -> float:
        return jackknife_error(distance, a, b) if error is None else error(a, b)

    return Distance(
        distance(samples, test), distance(train, test), spread(samples, test), spread(train, test), None, len(test)
    )


def equal_parts(
    owner: str, samples: np.ndarray, train: np.ndarray, test: np.ndarray, seed: int, max_points: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three sets as float64 rows, cut at random to one length (biases of distances depend on it)."""
    named = {"samples": samples, "train": train, "test": test}
    rows = {name: as_rows(owner, name, x, least=4) for name, x in named.items()}
    same_width(owner, **rows)
    checks.count(owner, "seed", seed, 0)
    checks.count(owner, "max_points", max_points, 4)
    num = min(max_points, *(len(x) for x in rows.values()))
    rng = np.random.default_rng(seed)
    a, b, c = (picked(rng, x, num) for x in rows.values())
    return a, b, c


def mmd(
    samples: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    *,
    seed: int = 0,
    num_permutations: int = 200,
    max_points: int = 2000,
) -> Distance:
    """Squared maximum mean discrepancy, unbiased: it is 0 on average for equal laws and is often negative there.

    The kernel is the mean of three Gaussians whose widths are 0.5, 1 and 2 times the median distance among held-out
    samples.

    Args:
        samples: The model's, on axis 0, independent of each other.
        train: Training data, for the floor.
        test: Held-out data.
        seed: Picks the rows and the permutations.
        num_permutations: For the p-value; 0 for none.
        max_points: The most rows taken from each set, >= 4.

    Raises:
        ValueError: A set is too small, not finite or of another width.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> samples, train, test = rng.normal(1.0, 1.0, (200, 2)), rng.normal(size=(200, 2)), rng.normal(size=(200, 2))
        >>> found = mmd(samples, train, test, num_permutations=50)
        >>> found.value > 10 * abs(found.floor)
        True
    """
    checks.count("mmd", "num_permutations", num_permutations, 0)
    a, b, c = equal_parts("mmd", samples, train, test, seed, max_points)
    widths = median_distance(c) * np.array(_WIDTHS)

    cc = kernel(c, c, widths)
    ours = kernel(a, a, widths), cc, kernel(a, c, widths)
    theirs = kernel(b, b, widths), cc, kernel(b, c, widths)
    value = unbiased_mmd2(*ours)
    p_value = _permutation_p(*ours, value, num_permutations, seed) if num_permutations else None
    return Distance(value, unbiased_mmd2(*theirs), _mmd_error(*ours), _mmd_error(*theirs), p_value, len(c))


def kernel(x: np.ndarray, y: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Mean over widths of exp(-|x - y|^2 / (2 width^2)), [n, m]."""
    squares = euclidean_distances(x, y, squared=True)
    total = np.zeros_like(squares)
    for width in widths:
        total += np.exp(squares * (-0.5 / width**2))
    return total / len(widths)


def median_distance(x: np.ndarray) -> float:
    """Median of the distances between rows; 1 if half of the rows or more coincide."""
    distances = euclidean_distances(x)[np.triu_indices(len(x), 1)]
    return float(np.median(distances)) or 1.0


def unbiased_mmd2(xx: np.ndarray, yy: np.ndarray, xy: np.ndarray) -> float:
    """The U-statistic of MMD^2 from kernel matrices, diagonals left out."""
    n, m = len(xx), len(yy)
    within = (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return float(within - 2.0 * xy.mean())


def _mmd_error(xx: np.ndarray, yy: np.ndarray, xy: np.ndarray) -> float:
    """Jackknife error from kernel matrices that are computed once: leaving samples out drops rows and columns."""

    def squared(i: np.ndarray, j: np.ndarray) -> float:
        return unbiased_mmd2(xx[np.ix_(i, i)], yy[np.ix_(j, j)], xy[np.ix_(i, j)])

    return jackknife_error(squared, np.arange(len(xx)), np.arange(len(yy)))


def _permutation_p(xx: np.ndarray, yy: np.ndarray, xy: np.ndarray, value: float, num: int, seed: int) -> float:
    """Share of relabellings with an MMD^2 at least as large, the observed labelling counted among them."""
    pooled = np.block([[xx, xy], [xy.T, yy]])
    rng = np.random.default_rng([seed, 1])
    n, m, total = len(xx), len(yy), len(pooled)
    labels = np.zeros((total, num))
    for column in range(num):
        labels[rng.permutation(total)[:n], column] = 1.0
    first = pooled @ labels
    diagonal = np.diag(pooled)
    within_x = np.sum(labels * first, axis=0) - diagonal @ labels
    between = np.sum((1.0 - labels) * first, axis=0)
    within_y = pooled.sum() - diagonal.sum() - within_x - 2.0 * between
    null = within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2.0 * between / (n * m)
    return float((1 + np.sum(null >= value)) / (num + 1))


def sliced_wasserstein(
    samples: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    *,
    seed: int = 0,
    num_projections: int = 256,
    max_points: int = 2000,
) -> Distance:
    """Root mean square over random directions of the Wasserstein-2 distance between projections, in the units of x.

    Args:
        samples: The model's, on axis 0.
        train: Training data, for the floor.
        test: Held-out data.
        seed: Picks rows and directions.
        num_projections: Directions, uniform on the sphere, >= 1.
        max_points: The most rows taken from each set, >= 4.

    Raises:
        ValueError: A set is too small, not finite or of another width.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> samples, train, test = rng.normal(1.0, 1.0, (200, 2)), rng.normal(size=(200, 2)), rng.normal(size=(200, 2))
        >>> found = sliced_wasserstein(samples, train, test)
        >>> 0.8 < found.value < 1.2, found.floor < 0.4
        (True, True)
    """
    checks.count("sliced_wasserstein", "num_projections", num_projections)
    rng = np.random.default_rng([seed, 2])
    width = int(np.prod(np.shape(test)[1:]))
    directions = rng.standard_normal((width, num_projections))
    directions /= np.linalg.norm(directions, axis=0)

    def distance(x: np.ndarray, y: np.ndarray) -> float:
        gap = np.sort(x @ directions, axis=0) - np.sort(y @ directions, axis=0)
        return float(np.sqrt(np.mean(gap**2)))

    return against_floor("sliced_wasserstein", distance, samples, train, test, seed, max_points=max_points)


def c2st(
    samples: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    *,
    classifier: str = "knn",
    seed: int = 0,
    num_folds: int = 5,
    max_points: int = 2000,
) -> Distance:
    """Cross-validated accuracy of a classifier that tells samples from held-out data: 0.5 is the best a model can do.

    Args:
        samples: The model's, on axis 0.
        train: Training data, for the floor.
        test: Held-out data.
        classifier: "knn" (about sqrt(n) neighbours) or "logistic" (linear), both on standardised inputs.
        seed: Picks rows and folds.
        num_folds: >= 2.
        max_points: The most rows taken from each set, >= 4.

    Raises:
        ValueError: A set is too small, not finite or of another width, or the classifier has no such name.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> samples, train, test = rng.normal(1.0, 1.0, (200, 2)), rng.normal(size=(200, 2)), rng.normal(size=(200, 2))
        >>> found = c2st(samples, train, test)
        >>> found.value > 0.65 > found.floor
        True
    """
    checks.count("c2st", "num_folds", num_folds, 2)
    if classifier not in ("knn", "logistic"):
        raise ValueError(f"c2st.classifier must be 'knn' or 'logistic'; got {classifier!r}.")

    def accuracy(x: np.ndarray, y: np.ndarray) -> float:
        inputs = np.concatenate([x, y])
        labels = np.repeat([0, 1], [len(x), len(y)])
        neighbours = max(1, int(np.sqrt(len(inputs) * (num_folds - 1) / num_folds))) | 1
        rule = KNeighborsClassifier(neighbours) if classifier == "knn" else LogisticRegression(max_iter=2000)
        folds = StratifiedKFold(num_folds, shuffle=True, random_state=seed)
        guessed = cross_val_predict(make_pipeline(StandardScaler(), rule), inputs, labels, cv=folds)
        return float(np.mean(guessed == labels))

    def binomial(x: np.ndarray, y: np.ndarray) -> float:
        # Under one law a guess is right with probability 1/2 whatever the classifier: the null's error is exact.
        return float(0.5 / np.sqrt(len(x) + len(y)))

    return against_floor("c2st", accuracy, samples, train, test, seed, error=binomial, max_points=max_points)


def class_total_variation(
    samples: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    *,
    num_classes: int,
    seed: int = 0,
    num_bootstrap: int = 200,
) -> Distance:
    """Total variation between the class shares of samples and of held-out data, 0.5 sum |p - q|, in [0, 1].

    Args:
        samples: Class of each model sample as some classifier sees it, integers in [0, num_classes).
        train: Classes of training samples by the same classifier; as many as there are samples are picked.
        test: Classes of held-out samples by the same classifier.
        num_classes: >= 2.
        seed: Picks rows and resamples.
        num_bootstrap: Resamples for the standard errors, >= 10.

    Raises:
        ValueError: A label is no integer in range.

    Example:
        >>> found = class_total_variation(np.zeros(100, int), np.arange(100) % 2, np.arange(100) % 2, num_classes=2)
        >>> found.value
        0.5
    """
    checks.count("class_total_variation", "num_classes", num_classes, 2)
    checks.count("class_total_variation", "num_bootstrap", num_bootstrap, 10)
    labels = {}
    for name, given in (("samples", samples), ("train", train), ("test", test)):
        checks.samples("class_total_variation", name, given, ndim=1)
        array = np.asarray(given)
        if not np.issubdtype(array.dtype, np.integer) or array.min() < 0 or array.max() >= num_classes:
            raise ValueError(
                f"class_total_variation.{name} must hold integers in [0, {num_classes}); got dtype {array.dtype}, "
                f"{array.min()} to {array.max()}."
            )
        labels[name] = array
    rng = np.random.default_rng(seed)
    num = min(len(labels["samples"]), len(labels["train"]), len(labels["test"]))
    a, b, c = (picked(rng, labels[name], num) for name in ("samples", "train", "test"))

    def shares(x: np.ndarray) -> np.ndarray:
        return np.bincount(x, minlength=num_classes) / len(x)

    def error(x: np.ndarray, y: np.ndarray) -> float:
        p, q = (rng.multinomial(num, shares(z), num_bootstrap) / num for z in (x, y))
        return float(np.std(0.5 * np.abs(p - q).sum(axis=1), ddof=1))

    value, floor = (float(0.5 * np.abs(shares(x) - shares(c)).sum()) for x in (a, b))
    return Distance(value, floor, error(a, c), error(b, c), None, num)


@dataclass(frozen=True)
class Nearest:
    """Distances to the nearest training sample: samples much nearer than held-out data are copies.

    Attributes:
        samples: Mean over model samples, in the units of x.
        heldout: Mean over held-out data.
        samples_se: Standard error of `samples`.
        heldout_se: Standard error of `heldout`.
        index: For each model sample, the row of its nearest training sample.
        distance: For each model sample, how far that is.
    """

    samples: float
    heldout: float
    samples_se: float
    heldout_se: float
    index: np.ndarray
    distance: np.ndarray

    def as_dict(self) -> dict[str, float]:
        """The four means and errors by name."""
        return {name: getattr(self, name) for name in ("samples", "heldout", "samples_se", "heldout_se")}


def nearest_neighbour(samples: np.ndarray, train: np.ndarray, test: np.ndarray) -> Nearest:
    """Euclidean distance to the nearest training sample, of the model's samples and of held-out data.

    Raises:
        ValueError: A set is too small, not finite or of another width.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> samples, train, test = rng.normal(1.0, 1.0, (200, 2)), rng.normal(size=(200, 2)), rng.normal(size=(200, 2))
        >>> found = nearest_neighbour(train, train, test)  # a model that has learnt its data by heart
        >>> found.samples, found.heldout > 0.1
        (0.0, True)
    """
    named = {"samples": samples, "train": train, "test": test}
    rows = {name: as_rows("nearest_neighbour", name, x) for name, x in named.items()}
    same_width("nearest_neighbour", **rows)
    search = NearestNeighbors(n_neighbors=1).fit(rows["train"])
    distance, index = (found[:, 0] for found in search.kneighbors(rows["samples"]))
    heldout = search.kneighbors(rows["test"])[0][:, 0]

    def error(x: np.ndarray) -> float:
        return float(np.std(x, ddof=1) / np.sqrt(len(x)))

    return Nearest(float(distance.mean()), float(heldout.mean()), error(distance), error(heldout), index, distance)
