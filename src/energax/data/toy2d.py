"""Seven densities in the plane that can be sampled i.i.d. and whose log density is known.

Rings, checkerboard, 25 Gaussians and pinwheel have closed forms. Moons, swiss roll and spirals are a curve blurred by
Gaussian noise, p(x) = integral w(t) N(x; c(t), noise^2 I) dt, done by Gauss-Legendre nodes along the curve that lie
closer than the noise: the rule converges geometrically and its error in log p is below 1e-4 inside `box`.

Every toy is centred and divided by one known factor `scale` (the same for both axes), so that the mean of its two
variances is 1. Samples come in random order.
"""

import abc
import math
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from energax.errors import DataError

from . import checks, names

_BLOCK = 2_000_000  # entries of one [points, nodes] table: 16 MB


class Toy(abc.ABC):
    """A density in the plane, in units in which its standard deviation is 1.

    Attributes:
        name: The name under which `toy` gives it.
        scale: Raw units per unit of x: x = (raw - offset) / scale.
        offset: The mean in raw units, float64 `[2]`.
        box: `(low, high)` of a square, both axes, that holds all but 1e-4 of the mass.
        modes: Positions of isolated modes or cells of equal mass, float64 `[k, 2]`; k = 0 where there are none.
    """

    name: ClassVar[str]
    scale: float
    offset: np.ndarray
    box: tuple[float, float]
    modes: np.ndarray

    @abc.abstractmethod
    def _draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Draws n independent points in raw units, float64 `[n, 2]`."""

    @abc.abstractmethod
    def _log_density(self, raw: np.ndarray) -> np.ndarray:
        """Log density `[n]` at raw points `[n, 2]`, with respect to area in raw units."""

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """n independent samples, float32 `[n, 2]`, in random order.

        Args:
            rng: A numpy Generator; it moves on.
            n: Number of samples, >= 1.

        Example:
            >>> toy("moons").sample(np.random.default_rng(0), 3).shape
            (3, 2)
        """
        checks.generator(f"{self.name}.sample", rng)
        raw = self._draw(rng, checks.count(f"{self.name}.sample", "n", n))
        return ((raw - self.offset) / self.scale).astype(np.float32)

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Exact log density in nats at x `[n, 2]`: float64 `[n]`; -inf outside a bounded support."""
        x = checks.points(f"{self.name}.log_prob", x, 2)
        return self._log_density(x * self.scale + self.offset) + 2.0 * math.log(self.scale)


class Curve(Toy):
    """Points on a few arms of a curve plus Gaussian noise; concrete curves are made by the functions below.

    Args:
        name: The toy's name.
        arms: For every arm, t `[m]` -> points `[m, 2]` in raw units; arms have equal mass.
        density: Density of t on `span`.
        inverse: Uniform numbers in [0, 1) -> t of that density.
        span: Range of t.
        noise: Standard deviation of the noise, in raw units.
        num_nodes: Gauss-Legendre nodes an arm.
    """

    def __init__(
        self,
        name: str,
        arms: tuple[Callable[[np.ndarray], np.ndarray], ...],
        density: Callable[[np.ndarray], np.ndarray],
        inverse: Callable[[np.ndarray], np.ndarray],
        span: tuple[float, float],
        noise: float,
        num_nodes: int,
    ) -> None:
        self.name, self.noise = name, noise  # type: ignore[misc]
        self._arms, self._inverse = arms, inverse
        nodes, weights = np.polynomial.legendre.leggauss(num_nodes)
        half = 0.5 * (span[1] - span[0])
        t = span[0] + half * (nodes + 1.0)
        mass = weights * half * density(t) / len(arms)
        self._centres = np.concatenate([arm(t) for arm in arms])
        self._weights = np.tile(mass, len(arms))
        self.offset = self._weights @ self._centres
        variance = self._weights @ (self._centres - self.offset) ** 2 + noise**2
        self.scale = float(np.sqrt(variance.mean()))
        reach = np.abs(self._centres - self.offset).max() + 4.5 * noise
        self.box = (-float(reach / self.scale), float(reach / self.scale))
        self.modes = np.empty((0, 2))

    def _draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        arm = rng.integers(len(self._arms), size=n)
        t = self._inverse(rng.random(n))
        on_curve = np.stack([draw(t) for draw in self._arms])[arm, np.arange(n)]
        return on_curve + self.noise * rng.standard_normal((n, 2))

    def _log_density(self, raw: np.ndarray) -> np.ndarray:
        return _blurred(raw, self._centres, np.log(self._weights), self.noise)


class Rings(Toy):
    """Three circles of equal mass, radii 1, 2, 3, with Gaussian noise 0.12 in raw units.

    A circle of radius R blurred by noise s has the closed form
    p(r) = exp(-(r^2 + R^2) / 2 s^2) I0(r R / s^2) / (2 pi s^2).
    """

    name = "rings"

    def __init__(self) -> None:
        self.radii, self.noise = np.array([1.0, 2.0, 3.0]), 0.12
        self.offset = np.zeros(2)
        self.scale = float(np.sqrt(0.5 * np.mean(self.radii**2) + self.noise**2))
        reach = (self.radii.max() + 4.5 * self.noise) / self.scale
        self.box = (-float(reach), float(reach))
        self.modes = np.empty((0, 2))

    def _draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        radius = self.radii[rng.integers(len(self.radii), size=n)]
        angle = 2.0 * np.pi * rng.random(n)
        circle = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return circle + self.noise * rng.standard_normal((n, 2))

    def _log_density(self, raw: np.ndarray) -> np.ndarray:
        from scipy.special import i0e

        r = np.hypot(raw[:, 0], raw[:, 1])[:, None]
        variance = self.noise**2
        # i0e(a) = exp(-a) I0(a), so the exponent becomes a square and nothing overflows.
        terms = -0.5 * (r - self.radii) ** 2 / variance + np.log(i0e(r * self.radii / variance))
        return _log_sum_exp(terms) - math.log(2.0 * np.pi * variance * len(self.radii))


class Checkerboard(Toy):
    """Uniform on the eight dark squares of a 4 x 4 board of side 4 in raw units; -inf on the light ones.

    `box` is five squares wide, so a midpoint grid whose size is a multiple of 10 follows the edges exactly.
    """

    name = "checkerboard"

    def __init__(self) -> None:
        self.offset = np.zeros(2)
        self.scale = math.sqrt(4.0**2 / 12.0)
        self.box = (-2.5 / self.scale, 2.5 / self.scale)
        self._corners = np.array([(i - 2.0, j - 2.0) for i in range(4) for j in range(4) if (i + j) % 2 == 0])
        self.modes = (self._corners + 0.5) / self.scale

    def _draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        corner = self._corners[rng.integers(len(self._corners), size=n)]
        # Kept clear of the edges by more than one float32 rounding, so that no sample lands on a light square.
        return corner + np.clip(rng.random((n, 2)), 1e-6, 1.0 - 1e-6)

    def _log_density(self, raw: np.ndarray) -> np.ndarray:
        square = np.floor(raw)
        dark = (np.abs(raw) < 2.0).all(axis=1) & (square.sum(axis=1) % 2 == 0)
        return np.where(dark, -math.log(8.0), -np.inf)


class Gaussians25(Toy):
    """25 equal Gaussians of standard deviation 0.1 on the grid {-2, ..., 2}^2 in raw units."""

    name = "gaussians25"

    def __init__(self) -> None:
        grid = np.arange(-2.0, 3.0)
        self._centres, self.noise = np.array([(a, b) for a in grid for b in grid]), 0.1
        self.offset = np.zeros(2)
        self.scale = math.sqrt(2.0 + self.noise**2)
        self.box = (-2.5 / self.scale, 2.5 / self.scale)
        self.modes = self._centres / self.scale

    def _draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        return self._centres[rng.integers(25, size=n)] + self.noise * rng.standard_normal((n, 2))

    def _log_density(self, raw: np.ndarray) -> np.ndarray:
        return _blurred(raw, self._centres, np.full(25, -math.log(25.0)), self.noise)


class Pinwheel(Toy):
    """Five arms: a Gaussian N((1, 0), diag(0.3^2, 0.1^2)), turned by 2 pi k / 5 + exp(r) / 4 at radius r.

    Source: Johnson et al. (2016), https://arxiv.org/abs/1603.06277, the "pinwheel" of their figures. There the twist
    grows with the first coordinate before the turn; here with the radius, which looks the same, keeps areas and can be
    undone, so the density is a closed form: the mean over k of the Gaussian at the untwisted point.
    """

    name = "pinwheel"

    def __init__(self) -> None:
        self.spread, self.rate = np.array([0.3, 0.1]), 0.25
        self._turns = 2.0 * np.pi * np.arange(5) / 5
        self.offset = np.zeros(2)
        # A turn keeps |x|^2, so the mean of the two variances is E|x|^2 / 2 whatever the twist.
        self.scale = math.sqrt(0.5 * (1.0 + float(np.sum(self.spread**2))))
        self.box = (-2.2 / self.scale, 2.2 / self.scale)
        self.modes = _turned(np.array([[1.0, 0.0]]), self._turns + self.rate * math.e) / self.scale

    def _draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        arm = np.array([1.0, 0.0]) + self.spread * rng.standard_normal((n, 2))
        turn = self._turns[rng.integers(5, size=n)]
        return _turned(arm, turn + self.rate * np.exp(np.hypot(arm[:, 0], arm[:, 1])))

    def _log_density(self, raw: np.ndarray) -> np.ndarray:
        twist = self.rate * np.exp(np.minimum(np.hypot(raw[:, 0], raw[:, 1]), 700.0))
        terms = []
        for turn in self._turns:
            arm = _turned(raw, -(turn + twist)) - np.array([1.0, 0.0])
            terms.append(-0.5 * np.sum((arm / self.spread) ** 2, axis=1))
        return _log_sum_exp(np.stack(terms, axis=1)) - math.log(5 * 2.0 * np.pi * float(np.prod(self.spread)))


def _moons() -> Toy:
    """Two half circles of radius 1 that reach into each other, noise 0.1 in raw units."""
    return Curve(
        "moons",
        arms=(
            lambda t: np.stack([np.cos(t), np.sin(t)], axis=1),
            lambda t: np.stack([1.0 - np.cos(t), 0.5 - np.sin(t)], axis=1),
        ),
        density=lambda t: np.full_like(t, 1.0 / np.pi),
        inverse=lambda u: np.pi * u,
        span=(0.0, np.pi),
        noise=0.1,
        num_nodes=96,
    )


def _swissroll() -> Toy:
    """The roll t (cos t, sin t), t uniform on [1.5 pi, 4.5 pi], noise 0.7 in raw units."""
    return Curve(
        "swissroll",
        arms=(lambda t: t[:, None] * np.stack([np.cos(t), np.sin(t)], axis=1),),
        density=lambda t: np.full_like(t, 1.0 / (3.0 * np.pi)),
        inverse=lambda u: np.pi * (1.5 + 3.0 * u),
        span=(1.5 * np.pi, 4.5 * np.pi),
        noise=0.7,
        num_nodes=320,
    )


def _spirals() -> Toy:
    """Two arms +-t (cos t, sin t), t = 3 pi sqrt(u) with u uniform on [0, 1], noise 0.35 in raw units."""
    end = 3.0 * np.pi
    return Curve(
        "spirals",
        arms=(
            lambda t: t[:, None] * np.stack([np.cos(t), np.sin(t)], axis=1),
            lambda t: -t[:, None] * np.stack([np.cos(t), np.sin(t)], axis=1),
        ),
        density=lambda t: 2.0 * t / end**2,
        inverse=lambda u: end * np.sqrt(u),
        span=(0.0, end),
        noise=0.35,
        num_nodes=320,
    )


TOYS: dict[str, Callable[[], Toy]] = {
    "moons": _moons,
    "rings": Rings,
    "checkerboard": Checkerboard,
    "gaussians25": Gaussians25,
    "pinwheel": Pinwheel,
    "swissroll": _swissroll,
    "spirals": _spirals,
}


def toy(name: str) -> Toy:
    """The toy of that name: moons, rings, checkerboard, gaussians25, pinwheel, swissroll or spirals.

    Raises:
        DataError: There is no such toy; the message names the nearest one.

    Example:
        >>> float(toy("checkerboard").log_prob(np.zeros((1, 2)) + 0.1)[0]) > -2
        True
    """
    if name not in TOYS:
        raise DataError(names.unknown("toy", name, TOYS))
    return TOYS[name]()


def _turned(points: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Points `[n, 2]` (or one point for all angles) turned counter-clockwise by `angle` `[n]`."""
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([c * points[:, 0] - s * points[:, 1], s * points[:, 0] + c * points[:, 1]], axis=1)


def _log_sum_exp(terms: np.ndarray) -> np.ndarray:
    """log sum exp over axis 1 of finite terms `[n, k]`."""
    top = terms.max(axis=1, keepdims=True)
    return top[:, 0] + np.log(np.sum(np.exp(terms - top), axis=1))


def _blurred(x: np.ndarray, centres: np.ndarray, log_weights: np.ndarray, noise: float) -> np.ndarray:
    """Log density at x `[n, 2]` of a mixture of equal round Gaussians, in blocks of bounded size."""
    out = np.empty(len(x))
    rows = max(1, _BLOCK // len(centres))
    constant = log_weights - 0.5 * np.sum(centres**2, axis=1) / noise**2
    for start in range(0, len(x), rows):
        block = x[start : start + rows]
        terms = block @ (centres.T / noise**2) + constant
        out[start : start + rows] = _log_sum_exp(terms) - 0.5 * np.sum(block**2, axis=1) / noise**2
    return out - math.log(2.0 * np.pi * noise**2)
