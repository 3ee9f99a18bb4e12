"""The plane: the energy landscape with chains on it, the model's density beside the true one, the masses of the modes.

Arrays on the grid are [grid_y, grid_x]: row i is the line y = grid_y[i], as `numpy.meshgrid` and images have it.
"""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .canvas import BLUE, INK, RED, Panel, axes, draw, finite, legend_above
from .gather import RunFolder, section
from .judgement import say

_DEPTH = 12.0  # nats above the deepest well that the landscape still tells apart
_CHAINS = 4
_MOST_DRAWS = 100
# Inks on the map itself: the map keeps its colours when the page turns dark, and so must they.
_PATHS = ("#c2410c", "#15803d", "#9d174d", "#b45309")
_SQUARE = 3.3  # inches of height for a square map


class _Grid(NamedTuple):
    x: np.ndarray
    y: np.ndarray
    energy: np.ndarray

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top of an image whose pixels are centred on the grid's points."""
        half_x, half_y = (self.x[1] - self.x[0]) / 2, (self.y[1] - self.y[0]) / 2
        return (self.x[0] - half_x, self.x[-1] + half_x, self.y[0] - half_y, self.y[-1] + half_y)

    def density(self) -> np.ndarray:
        """exp(-E) normalised by the sum over the grid."""
        weights = np.exp(np.nanmin(self.energy) - self.energy)
        cell = (self.x[1] - self.x[0]) * (self.y[1] - self.y[0])
        return np.where(np.isfinite(weights), weights, 0.0) / (np.nansum(weights) * cell)


def is_planar(run: RunFolder) -> bool:
    """Whether the run models points of the plane."""
    shape = section(run.evaluation, "dataset").get("shape")
    samples = run.arrays.get("samples")
    planar_samples = samples is not None and samples.ndim == 2 and samples.shape[1] == 2
    return shape == [2] or "density2d" in run.evaluation or "grid_energy" in run.arrays or planar_samples


def landscape_panels(run: RunFolder) -> list[Panel]:
    """The figures of a model of the plane, those whose arrays were stored."""
    grid = _grid(run)
    panels = []
    if grid is not None:
        panels.append(_landscape(grid, run.arrays.get("chains_xy")))
        true = run.arrays.get("grid_true_log_density")
        density = grid.density()
        top = float(density.max())
        if true is not None and true.shape == grid.energy.shape and np.isfinite(true).any():
            exact = np.exp(np.where(np.isnan(true), -np.inf, true))
            top = float(np.percentile(exact[np.isfinite(exact)], 99.9)) or top
            panels.append(
                _density("true-density", "True density", "The density the data were drawn from.", grid, exact, top)
            )
        words = "exp(−E)/Z, normalised on the grid, in the colours of the true density."
        panels.append(_density("model-density", "Density of the model", words, grid, density, top))
    masses = masses_panel(section(run.evaluation, "density2d"), "by quadrature near it")
    return [*panels, masses] if masses else panels


def _grid(run: RunFolder) -> _Grid | None:
    x, y, energy = (run.arrays.get(name) for name in ("grid_x", "grid_y", "grid_energy"))
    if x is None or y is None or energy is None or min(x.size, y.size) < 2:
        return None
    if energy.shape != (y.size, x.size) or not np.isfinite(energy).any():
        return None
    return _Grid(x.ravel().astype(np.float64), y.ravel().astype(np.float64), energy.astype(np.float64))


def _map(ax: Axes, grid: _Grid, values: np.ndarray, colours: str, low: float, high: float) -> Any:
    ax.grid(False)
    picture = ax.imshow(
        values, origin="lower", extent=grid.extent, cmap=colours, vmin=low, vmax=high, interpolation="bilinear"
    )
    ax.set_aspect("equal")
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.yaxis.set_major_locator(MaxNLocator(5))
    return picture


def _landscape(grid: _Grid, chains: np.ndarray | None) -> Panel:
    above = grid.energy - np.nanmin(grid.energy)
    paths = np.zeros((0, 0, 2))
    if chains is not None and chains.ndim == 3 and chains.shape[2] == 2:
        paths = chains[:_CHAINS, :_MOST_DRAWS]

    def paint(figure: Figure) -> None:
        ax = axes(figure, "x₁", "x₂")
        picture = _map(ax, grid, np.clip(above, 0, _DEPTH), "Blues", 0, _DEPTH)
        ax.contour(grid.x, grid.y, above, levels=[1, 2, 4, 8], colors="#5b7794", linewidths=0.6)
        for index, path in enumerate(paths):
            colour = _PATHS[index % len(_PATHS)]
            ax.plot(path[:, 0], path[:, 1], color=colour, linewidth=0.8, alpha=0.9)
            ax.plot(*path[0], marker="o", markersize=5, color=colour, markeredgecolor="#ffffff", markeredgewidth=0.9)
        ax.set_xlim(grid.extent[:2])
        ax.set_ylim(grid.extent[2:])
        bar = figure.colorbar(picture, ax=ax, shrink=0.8, pad=0.02, aspect=25)
        bar.set_label(f"nats above the deepest well (cut at {_DEPTH:.0f})")
        bar.outline.set_visible(False)

    walked = (
        f" The lines are {len(paths)} chains over {paths.shape[1]} draws, each from its dot: they should visit every "
        "well."
        if len(paths)
        else " No chains were stored to draw on it."
    )
    return draw(
        "landscape",
        "Energy landscape",
        f"Light is low energy, that is, likely; contours at 1, 2, 4 and 8 nats.{walked}",
        f"Map of the energy over the plane with {len(paths)} chains on it.",
        paint,
        height=_SQUARE,
    )


def _density(name: str, title: str, caption: str, grid: _Grid, values: np.ndarray, top: float) -> Panel:
    def paint(figure: Figure) -> None:
        ax = axes(figure, "x₁", "x₂")
        picture = _map(ax, grid, values, "magma", 0.0, top)
        bar = figure.colorbar(picture, ax=ax, shrink=0.8, pad=0.02, aspect=25)
        bar.set_label("density (per unit area)")
        bar.outline.set_visible(False)

    return draw(
        name,
        title,
        caption,
        f"{title}: map over the plane, highest value {finite(values).max():.3g}.",
        paint,
        height=_SQUARE,
    )


def masses_panel(density: Any, where: str) -> Panel | None:
    """Bars of the true and the learned mass of every mode (or pattern); `where` says what was summed over."""
    true, model = density.get("mode_masses_true"), density.get("mode_masses_model")
    if not isinstance(true, list) or not isinstance(model, list) or len(true) != len(model) or not 2 <= len(true) <= 64:
        return None
    try:
        exact, ours = np.asarray(true, dtype=np.float64), np.asarray(model, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    places = np.arange(len(exact))

    def paint(figure: Figure) -> None:
        ax = axes(figure, "mode", "mass (fraction)")
        ax.bar(places - 0.2, exact, width=0.38, color=BLUE, label="true")
        ax.bar(places + 0.2, ours, width=0.38, color=RED, label="model", hatch="////", edgecolor=INK, linewidth=0.4)
        ax.set_ylim(bottom=0)
        ax.xaxis.set_major_locator(MaxNLocator(min(13, len(exact)), integer=True))
        ax.grid(axis="x", visible=False)
        legend_above(figure, ax)

    worst = int(np.argmax(np.abs(exact - ours)))
    return draw(
        "mode-masses",
        "Masses of the modes",
        f"Share of the probability of each, {where}. The largest error is at mode {worst}: "
        f"{say(float(ours[worst]))} in place of {say(float(exact[worst]))}.",
        f"Bars of true and model mass for {len(exact)} modes.",
        paint,
    )
