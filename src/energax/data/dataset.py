"""What every source of samples hands out: one frozen record of arrays with their range, source and licence."""

import dataclasses
import math

import numpy as np

from energax.errors import DataError

from . import checks


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Samples with all that a run must know of them.

    The arrays are read-only views: what was loaded is what every reader sees. Copy before writing.

    Attributes:
        name: The name under which it was loaded.
        x: Samples, float32 `[n, ...]`; images are `[n, height, width, channels]` unless loaded flat.
        y: Class of each sample, int64 `[n]`, or None.
        low: Smallest value a coordinate can take (images: the value of black), in the units of `x`; for a density
            without bounds the low side of the box that holds nearly all of it.
        high: The same for the largest value; at least `low`.
        source: Where the samples come from, in words.
        licence: The licence of the samples.
        image_shape: `(height, width, channels)` when a sample is an image, also a flat one; None otherwise.

    Example:
        >>> import numpy as np
        >>> data = Dataset("two", np.array([[0.0, 1.0], [1.0, 0.0]]), None, 0.0, 1.0, "typed in", "CC0")
        >>> len(data), data.is_image, data.flat().shape
        (2, False, (2, 2))
    """

    name: str
    x: np.ndarray
    y: np.ndarray | None
    low: float
    high: float
    source: str
    licence: str
    image_shape: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        checks.rows(f"Dataset.x of {self.name!r}", self.x, least=1)
        x = np.ascontiguousarray(self.x, dtype=np.float32).view()
        x.setflags(write=False)
        object.__setattr__(self, "x", x)
        if self.y is not None:
            object.__setattr__(self, "y", self._labels(self.y))
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise DataError(f"Dataset.low and .high must be finite with low <= high; got {self.low} and {self.high}.")
        shape = self.image_shape
        if shape is None and x.ndim == 4:
            object.__setattr__(self, "image_shape", tuple(int(s) for s in x.shape[1:]))
        elif shape is not None and (len(shape) != 3 or math.prod(shape) != math.prod(x.shape[1:])):
            raise DataError(f"Dataset.image_shape must hold {math.prod(x.shape[1:])} pixels; got {shape}.")

    def _labels(self, y: np.ndarray) -> np.ndarray:
        y = np.asarray(y)
        if y.shape != self.x.shape[:1] or y.dtype.kind not in "iu":
            raise DataError(f"Dataset.y must be integers of shape [{len(self.x)}]; got {y.dtype} of shape {y.shape}.")
        labels = np.ascontiguousarray(y, dtype=np.int64).view()
        labels.setflags(write=False)
        return labels

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        labels = "" if self.y is None else f", classes={len(self.classes)}"
        return f"Dataset({self.name!r}, x={self.x.shape}, range=[{self.low:g}, {self.high:g}]{labels})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.x.shape[1:]

    @property
    def dim(self) -> int:
        """Number of coordinates of one sample."""
        return math.prod(self.shape)

    @property
    def is_image(self) -> bool:
        """Whether `x` is laid out as images, `[n, height, width, channels]`."""
        return self.x.ndim == 4

    @property
    def classes(self) -> np.ndarray:
        """The classes that occur, int64, ascending; empty when there are no labels."""
        return np.empty(0, np.int64) if self.y is None else np.unique(self.y)

    def flat(self) -> np.ndarray:
        """The samples as rows, float32 `[n, dim]` (a view)."""
        return self.x.reshape(len(self.x), -1)

    def flattened(self) -> "Dataset":
        """The same samples laid out as rows `[n, dim]`; `image_shape` is kept."""
        return dataclasses.replace(self, x=self.flat())

    def arrays(self) -> dict[str, np.ndarray]:
        """What a batch stream takes: `{"x": ...}` and, when there are labels, `"y"`."""
        return {"x": self.x} if self.y is None else {"x": self.x, "y": self.y}

    def subset(self, idx: np.ndarray) -> "Dataset":
        """The samples at the integer positions `idx` `[m]`, in that order.

        Raises:
            ValueError: `idx` is empty, not of integers, or reaches outside the set.
        """
        idx = np.asarray(idx)
        if idx.ndim != 1 or idx.size == 0 or idx.dtype.kind not in "iu":
            raise ValueError(f"Dataset.subset: idx must be integers of shape [m], m >= 1; got {idx.dtype} {idx.shape}.")
        if idx.min() < 0 or idx.max() >= len(self):
            raise ValueError(f"Dataset.subset: idx must lie in [0, {len(self)}); got {idx.min()} to {idx.max()}.")
        return dataclasses.replace(self, x=self.x[idx], y=None if self.y is None else self.y[idx])

    def without_class(self, c: int) -> "Dataset":
        """All samples whose class is not `c`.

        Raises:
            ValueError: There are no labels, `c` is not among them, or nothing would be left.
        """
        return self.subset(np.flatnonzero(self._of_class(c) == 0))

    def only_class(self, c: int) -> "Dataset":
        """All samples whose class is `c`: what `without_class` leaves out.

        Raises:
            ValueError: There are no labels or `c` is not among them.
        """
        return self.subset(np.flatnonzero(self._of_class(c)))

    def _of_class(self, c: int) -> np.ndarray:
        if self.y is None:
            raise ValueError(f"Dataset {self.name!r} must have labels to choose a class; got y=None.")
        if c not in self.classes:
            raise ValueError(f"Dataset {self.name!r}: class must be one of {self.classes.tolist()}; got {c!r}.")
        return self.y == c

    def split(self, holdout: float, seed: int) -> tuple["Dataset", "Dataset"]:
        """A training and a held-out part: disjoint, together everything, the same for the same seed.

        The held-out part holds `ceil(holdout * n)` samples. With labels every class gives its share, rounded by
        largest remainder, so that class frequencies agree to within one sample a class.

        Args:
            holdout: Share that is held out, in (0, 1).
            seed: Non-negative integer; the same seed gives the same parts on every machine.

        Returns:
            `(train, test)`, each in the order of the original set.

        Raises:
            ValueError: `holdout` or `seed` is out of range.
            DataError: One of the parts would be empty.
        """
        checks.number("Dataset.split", "holdout", holdout, low=0.0, high=1.0)
        checks.count("Dataset.split", "seed", seed, least=0)
        n = len(self)
        num_test = math.ceil(holdout * n - 1e-9)
        if num_test >= n:
            raise DataError(f"Dataset {self.name!r} must keep a sample on each side of the split; got {n} in all.")
        order = np.argsort(np.random.Philox(key=[seed, 0]).random_raw(n), kind="stable")
        test = np.zeros(n, bool)
        for members, share in self._strata(order, num_test):
            test[members[:share]] = True
        return self.subset(np.flatnonzero(~test)), self.subset(np.flatnonzero(test))

    def _strata(self, order: np.ndarray, num_test: int) -> list[tuple[np.ndarray, int]]:
        """Shuffled members of every class beside how many of them are held out."""
        if self.y is None:
            return [(order, num_test)]
        groups = [order[self.y[order] == c] for c in self.classes]
        exact = np.array([len(g) for g in groups]) * (num_test / len(order))
        shares = np.floor(exact).astype(int)
        for late in np.argsort(shares - exact, kind="stable")[: num_test - shares.sum()]:
            shares[late] += 1
        return list(zip(groups, shares.tolist(), strict=True))
