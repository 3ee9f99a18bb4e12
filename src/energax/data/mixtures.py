"""A mixture with unequal masses in d dimensions: the case that persistent chains get wrong without any sign of it."""

import dataclasses
import math

import numpy as np

from . import checks


@dataclasses.dataclass(frozen=True)
class UnequalMixture:
    """Round Gaussians of unit variance on axis 0, p(x) = sum_k masses[k] N(x; positions[k] e_0, I).

    The defaults are 16 standard deviations apart: chains that start from data keep the mode they were born in, and
    what they say about the masses is what they were given, not what was learned.

    Args:
        dim: Number of coordinates, >= 1.
        masses: Mass of each mode, > 0, adding up to 1.
        positions: Position of each mode on axis 0, in standard deviations of a mode; as many as masses.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> import numpy as np
        >>> mixture = UnequalMixture(dim=3)
        >>> x = mixture.sample(np.random.default_rng(0), 1000)
        >>> x.shape, bool(abs(mixture.mode_masses(x)[0] - 0.25) < 0.05)
        ((1000, 3), True)
    """

    dim: int = 50
    masses: tuple[float, ...] = (0.25, 0.75)
    positions: tuple[float, ...] = (-10.0, 6.0)

    def __post_init__(self) -> None:
        checks.count("UnequalMixture", "dim", self.dim)
        for name in ("masses", "positions"):
            value = np.asarray(getattr(self, name))
            if value.ndim != 1 or value.size == 0 or value.dtype.kind not in "fiu" or not np.all(np.isfinite(value)):
                raise ValueError(
                    f"UnequalMixture.{name} must be finite numbers [k], k >= 1; got {getattr(self, name)!r}."
                )
            object.__setattr__(self, name, tuple(float(v) for v in value))
        if len(self.masses) != len(self.positions):
            raise ValueError(
                "UnequalMixture.masses and .positions must be as many; "
                f"got {len(self.masses)} and {len(self.positions)}."
            )
        if min(self.masses) <= 0 or abs(sum(self.masses) - 1.0) > 1e-6:
            raise ValueError(f"UnequalMixture.masses must be > 0 and add up to 1; got {self.masses}.")

    @property
    def modes(self) -> np.ndarray:
        """Centres of the modes, float64 `[k, dim]`."""
        centres = np.zeros((len(self.positions), self.dim))
        centres[:, 0] = self.positions
        return centres

    @property
    def box(self) -> tuple[float, float]:
        """`(low, high)` of a cube, all axes, that holds all but 1e-6 of the mass."""
        return min(*self.positions, 0.0) - 6.0, max(*self.positions, 0.0) + 6.0

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """n independent samples, float32 `[n, dim]`, in random order."""
        checks.generator("UnequalMixture.sample", rng)
        checks.count("UnequalMixture.sample", "n", n)
        edges = np.cumsum(self.masses)[:-1]
        mode = np.searchsorted(edges, rng.random(n), side="right")
        x = rng.standard_normal((n, self.dim))
        x[:, 0] += np.array(self.positions)[mode]
        return x.astype(np.float32)

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Exact log density in nats at x `[n, dim]`: float64 `[n]`."""
        x = checks.points("UnequalMixture.log_prob", x, self.dim)
        terms = self._log_terms(x[:, 0])
        top = terms.max(axis=1)
        along = top + np.log(np.sum(np.exp(terms - top[:, None]), axis=1))
        return along - 0.5 * np.sum(x[:, 1:] ** 2, axis=1) - 0.5 * self.dim * math.log(2.0 * np.pi)

    def mode_masses(self, x: np.ndarray) -> np.ndarray:
        """Share of the samples x `[n, dim]` that most probably belong to each mode, float64 `[k]`, adding up to 1."""
        x = checks.points("UnequalMixture.mode_masses", x, self.dim)
        if len(x) == 0:
            raise ValueError("UnequalMixture.mode_masses: x must hold at least one sample; got shape (0, ...).")
        owner = np.argmax(self._log_terms(x[:, 0]), axis=1)
        return np.bincount(owner, minlength=len(self.masses)) / len(x)

    def _log_terms(self, along: np.ndarray) -> np.ndarray:
        return np.log(self.masses) - 0.5 * (along[:, None] - np.array(self.positions)) ** 2
