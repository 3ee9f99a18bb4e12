"""Two-dimensional densities on a grid, where nothing need be estimated: log Z, KL(true || model), mode masses.

Source: the midpoint rule (Davis and Rabinowitz 1984, Methods of numerical integration, section 2.1); kernel density:
Silverman (1986), Density estimation, section 4.2.
Exact up to the cell size for densities that are smooth over a cell and live inside the box. Cost: one energy a cell,
160,000 at the default 400 x 400. Fails: mass outside the box is not seen (`true_mass` says how much of the truth is in
it), and an energy that is low outside the box looks better than it is.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from energax.core import AbstractEnergy, checks

from .log_likelihood import energy_values
from .rows import as_rows

_BANDWIDTHS = (0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2)


@dataclass(frozen=True)
class Grid:
    """Midpoints of a regular grid.

    Attributes:
        x: First coordinates, [num].
        y: Second coordinates, [num].
        cell: Area of one cell, squared units of x.
    """

    x: np.ndarray
    y: np.ndarray
    cell: float

    def points(self) -> np.ndarray:
        """All midpoints as float64 rows, [num * num, 2]; row i * num + j is (x[i], y[j])."""
        first, second = np.meshgrid(self.x, self.y, indexing="ij")
        return np.stack([first.ravel(), second.ravel()], axis=1)


def make_grid(low: float, high: float, num: int = 400) -> Grid:
    """The midpoints of num x num cells of the square [low, high]^2.

    Raises:
        ValueError: `high` is not above `low`, or `num` is less than 2.

    Example:
        >>> grid = make_grid(-1.0, 1.0, 4)
        >>> grid.x.tolist(), grid.cell
        ([-0.75, -0.25, 0.25, 0.75], 0.25)
    """
    checks.finite("make_grid", "low", low)
    checks.count("make_grid", "num", num, 2)
    if not (math.isfinite(high) and high > low):
        raise ValueError(f"make_grid.high must be finite and above low = {low:g}; got {high!r}.")
    width = (high - low) / num
    middle = low + width * (np.arange(num) + 0.5)
    return Grid(middle, middle.copy(), width * width)


@dataclass(frozen=True)
class Density2D:
    """A model beside the truth on a grid.

    Attributes:
        kl_true_model: KL(true || model) over the box, nats.
        log_z: Log of the integral of exp(-E) over the box, nats.
        true_mass: Integral of the true density over the box: 1 unless the box cuts it or the grid is too coarse.
        edge_share: The model's mass in the outermost ring of cells; a model that leaks out of the box shows here.
        mode_masses_true: True mass nearest to each mode; empty without modes.
        mode_masses_model: The model's.
        energy: E at the grid, [num, num], nats.
        true_log_density: [num, num], nats.
    """

    kl_true_model: float
    log_z: float
    true_mass: float
    edge_share: float
    mode_masses_true: tuple[float, ...]
    mode_masses_model: tuple[float, ...]
    energy: np.ndarray
    true_log_density: np.ndarray


def compare_on_grid(
    energy: AbstractEnergy,
    true_log_prob: Callable[[np.ndarray], np.ndarray],
    grid: Grid,
    *,
    modes: np.ndarray | None = None,
    decode: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Density2D:
    """Compares an energy with an exactly known density, both normalised over the box.

    Args:
        energy: Of one point, shape [2].
        true_log_prob: Exact log density of float64 rows [n, 2] -> [n], nats; -inf outside the support.
        grid: Where to look.
        modes: Centres [m, 2]: each cell's mass goes to the nearest one.
        decode: Maps grid points [n, 2] to the model's coordinates where it was trained in whitened ones. An affine map
            only shifts log Z, which is then that of the energy over the box of x.

    Raises:
        ValueError: `energy` is no function, `grid` is no Grid, the energy is NaN or -inf on the grid, or the true
            density is NaN, +inf or nowhere positive.

    Example:
        >>> from energax.energies import standard_normal
        >>> grid = make_grid(-6.0, 6.0, 60)
        >>> found = compare_on_grid(standard_normal(2), lambda x: -0.5 * ((x - [1.0, 0.0]) ** 2).sum(1), grid)
        >>> round(found.kl_true_model, 3)  # half the distance's square
        0.5
    """
    _check_door("compare_on_grid", energy, grid)
    points = grid.points()
    shape = (len(grid.x), len(grid.y))
    seen = points if decode is None else np.asarray(decode(points))
    model = energy_values(energy, seen.astype(np.float32), batch_size=16384)
    truth = np.asarray(true_log_prob(points), np.float64).reshape(-1)
    _check_grid(model, truth, points)
    log_cell = math.log(grid.cell)
    log_z = float(logsumexp(-model) + log_cell)
    model_log_density = -model - log_z
    true_mass = float(np.exp(truth).sum() * grid.cell)
    nearest = None if modes is None else nearest_mode(points, modes)
    edge = np.ones(shape, bool)
    edge[1:-1, 1:-1] = False
    return Density2D(
        kl_true_model=kl_on_grid(truth, model_log_density, grid.cell),
        log_z=log_z,
        true_mass=true_mass,
        edge_share=float(np.exp(model_log_density[edge.ravel()]).sum() * grid.cell),
        mode_masses_true=_masses(truth, nearest, modes),
        mode_masses_model=_masses(model_log_density, nearest, modes),
        energy=model.reshape(shape),
        true_log_density=truth.reshape(shape),
    )


def grid_log_z(
    energy: AbstractEnergy, grid: Grid, *, decode: Callable[[np.ndarray], np.ndarray] | None = None
) -> float:
    """Log of the integral of exp(-E) over the box, nats; `decode` as in `compare_on_grid`.

    Raises:
        ValueError: `energy` is no function, or `grid` is no Grid.

    Example:
        >>> from energax.energies import standard_normal
        >>> round(grid_log_z(standard_normal(2), make_grid(-6.0, 6.0, 60)), 4)  # log 2 pi
        1.8379
    """
    _check_door("grid_log_z", energy, grid)
    points = grid.points()
    seen = points if decode is None else np.asarray(decode(points))
    values = energy_values(energy, seen.astype(np.float32), batch_size=16384)
    return float(logsumexp(-values) + math.log(grid.cell))


def kl_on_grid(true_log_density: np.ndarray, model_log_density: np.ndarray, cell: float) -> float:
    """sum p (log p - log q) cell, with both sides normalised over the grid first; +inf where q = 0 < p.

    Cells with p = 0 count nothing, whatever q is there.

    Example:
        >>> round(kl_on_grid(np.log([0.5, 0.5]), np.log([0.25, 0.75]), 1.0), 4)
        0.1438
    """
    p, q = np.ravel(true_log_density), np.ravel(model_log_density)
    p = p - (logsumexp(p) + math.log(cell))
    q = q - (logsumexp(q) + math.log(cell))
    inside = p > -np.inf
    return float(np.sum(np.exp(p[inside]) * (p[inside] - q[inside])) * cell)


def nearest_mode(points: np.ndarray, modes: np.ndarray) -> np.ndarray:
    """Index of the nearest mode of each point, [n].

    Example:
        >>> nearest_mode(np.array([[0.1, 0.0], [3.0, 2.0]]), np.array([[0.0, 0.0], [4.0, 0.0]])).tolist()
        [0, 1]
    """
    checks.samples("nearest_mode", "modes", modes, ndim=2)
    if modes.shape[1] != points.shape[1]:
        raise ValueError(f"nearest_mode.modes must have {points.shape[1]} columns; got {modes.shape[1]}.")
    squares = np.stack([np.sum((points - mode) ** 2, axis=1) for mode in np.asarray(modes, np.float64)])
    return np.argmin(squares, axis=0)


def kernel_log_density(train: np.ndarray, grid: Grid, bandwidth: float) -> np.ndarray:
    """Gaussian kernel density of points [n, 2] at the grid, exact: the kernel is a product, so it is one matrix
    product.

    Returns:
        Log density, [num, num], nats; -inf where it underflows (38 bandwidths from every point).

    Example:
        >>> grid = make_grid(-5.0, 5.0, 50)
        >>> log_density = kernel_log_density(np.zeros((1, 2)), grid, 0.5)
        >>> round(float(np.exp(log_density).sum() * grid.cell), 3)
        1.0
    """
    checks.positive("kernel_log_density", "bandwidth", bandwidth)
    rows = as_rows("kernel_log_density", "train", train, least=1)

    def factor(axis: np.ndarray, column: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * ((axis[:, None] - column[None]) / bandwidth) ** 2)

    density = factor(grid.x, rows[:, 0]) @ factor(grid.y, rows[:, 1]).T / (len(rows) * 2.0 * math.pi * bandwidth**2)
    with np.errstate(divide="ignore"):
        return np.log(density)


def best_kernel_kl(
    train: np.ndarray, true_log_density: np.ndarray, grid: Grid, *, bandwidths: tuple[float, ...] = _BANDWIDTHS
) -> tuple[float, float]:
    """The smallest KL(true || kernel density) that any of the bandwidths reaches: a baseline allowed to look.

    Args:
        train: Points, [n, 2].
        true_log_density: At the grid, [num, num], nats.
        grid: The grid.
        bandwidths: Candidates, units of x, > 0.

    Returns:
        (KL in nats, its bandwidth).

    Example:
        >>> grid = make_grid(-5.0, 5.0, 50)
        >>> train = np.random.default_rng(0).normal(size=(200, 2))
        >>> true = -0.5 * (grid.points() ** 2).sum(1).reshape(50, 50)
        >>> kl, bandwidth = best_kernel_kl(train, true, grid, bandwidths=(0.1, 0.4, 2.0))
        >>> bandwidth
        0.4
    """
    found = [(kl_on_grid(true_log_density, kernel_log_density(train, grid, h), grid.cell), h) for h in bandwidths]
    return min(found)


def _masses(log_density: np.ndarray, nearest: np.ndarray | None, modes: np.ndarray | None) -> tuple[float, ...]:
    if nearest is None or modes is None:
        return ()
    weights = np.exp(log_density - logsumexp(log_density))
    return tuple(float(mass) for mass in np.bincount(nearest, weights, minlength=len(modes)))


def _check_door(owner: str, energy: AbstractEnergy, grid: Grid) -> None:
    if not callable(energy):
        raise ValueError(f"{owner}.energy must map one point to a number; got {type(energy).__name__}.")
    if not isinstance(grid, Grid):
        raise ValueError(f"{owner}.grid must be a Grid, as make_grid makes it; got {type(grid).__name__}.")


def _check_grid(model: np.ndarray, truth: np.ndarray, points: np.ndarray) -> None:
    bad = np.flatnonzero(np.isnan(model) | (model == -np.inf))
    if len(bad):
        raise ValueError(f"compare_on_grid.energy must not be NaN or -inf; got {model[bad[0]]} at {points[bad[0]]}.")
    if truth.shape != model.shape:
        raise ValueError(f"compare_on_grid.true_log_prob must give {model.shape}; got shape {truth.shape}.")
    bad = np.flatnonzero(np.isnan(truth) | (truth == np.inf))
    if len(bad):
        raise ValueError(f"compare_on_grid.true_log_prob must be < +inf; got {truth[bad[0]]} at {points[bad[0]]}.")
    if not np.any(truth > -np.inf):
        raise ValueError("compare_on_grid.true_log_prob must be positive somewhere on the grid; got -inf everywhere.")
