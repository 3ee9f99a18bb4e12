"""A temperature sweep as a figure and as files: estimates with error bars on the exact curves."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from energax.evaluation.temperature_sweep import Curve, SweepRow
from energax.runtime.disk import write_atomically

from .canvas import BLUE, DASHES, GREEN, MARKERS, SERIES, SOFT, draw, png

LABELS = {
    "energy": "energy per site (J)",
    "joint_energy": "energy E(v, h) (nats)",
    "heat_capacity": "heat capacity (k)",
    "mode": "share of |2v − 1|² along a mode",
    "specific_heat": "specific heat per site (k)",
    "abs_magnetisation": "|magnetisation|",
    "order_parameter": "order parameter",
    "binder": "Binder cumulant",
    "order_binder": "Binder cumulant",
    "abs_susceptibility": "susceptibility of |m|",
    "order_susceptibility": "susceptibility",
    "alignment": "alignment",
}
POINT = {"linestyle": "", "marker": "*", "markersize": 12, "markerfacecolor": "none"}
WIDTH, HEIGHT = 4.0, 2.8  # inches a panel


def write_sweep(
    folder: Path,
    title: str,
    rows: Sequence[SweepRow],
    curves: Sequence[Curve],
    shown: Sequence[str | tuple[str, ...]],
    facts: Mapping[str, Any],
    critical: float | None = None,
    more: Sequence[Callable[[Axes], None]] = (),
) -> dict[str, Path]:
    """Writes sweep.json, sweep.svg and sweep.png into `folder` -> their paths.

    Args:
        folder: Made if it is not there; files of an earlier sweep are replaced whole.
        title: What was swept.
        rows: One a temperature.
        curves: Exact curves.
        shown: Observables, one a panel or several in one, in two rows of panels.
        facts: What else belongs into sweep.json (settings, seed).
        critical: Inverse critical temperature, for a line.
        more: Painters of panels that are not against temperature.
    """
    folder.mkdir(parents=True, exist_ok=True)
    columns = (len(shown) + len(more) + 1) // 2
    width, height = WIDTH * columns, HEIGHT * 2

    def paint(figure: Figure) -> None:
        figure.suptitle(title)
        for place, names in enumerate(shown):
            ax = figure.add_subplot(2, columns, place + 1)
            if isinstance(names, str):
                _panel(ax, names, rows, curves, critical, is_first=place == 0)
            else:
                _crowd(ax, names, rows, curves)
        for place, painter in enumerate(more, len(shown) + 1):
            painter(figure.add_subplot(2, columns, place))

    words = ", ".join(label(names if isinstance(names, str) else names[0]) for names in shown)
    alt = f"{title}: {words} against inverse temperature, with exact curves."
    svg = draw("sweep", title, "", alt, paint, width=width, height=height).content
    record = {"title": title, **facts, "rows": [as_dict(row) for row in rows]}
    contents = {
        "sweep.json": json.dumps(record, indent=1).encode(),
        "sweep.svg": svg,
        "sweep.png": png(paint, width=width, height=height),
    }
    for name, content in contents.items():
        write_atomically(folder / name, [content])
    return {name.partition(".")[2]: folder / name for name in contents}


def as_dict(row: SweepRow) -> dict[str, Any]:
    """One temperature as plain numbers; an error bar that is infinite is None."""
    observables: dict[str, dict[str, Any]] = {
        name: {
            "value": float(found.value),
            "se": float(found.std_error) if np.isfinite(found.std_error) else None,
            "autocorrelation_time": float(found.autocorrelation_time) if np.isfinite(found.std_error) else None,
            "reliable": bool(found.reliable),
        }
        for name, found in row.observables.items()
    }
    for name, known in row.exact.items():
        observables[name] |= {"exact": float(known.value), "exact_of": known.of}
    for name, off in row.deviations().items():
        observables[name]["sigma"] = off
    return {"beta": row.beta, "observables": observables}


def _exact_points(ax: Axes, name: str, rows: Sequence[SweepRow], curves: Sequence[Curve]) -> None:
    """Exact values of rows where no curve says the same."""
    drawn = {curve.of for curve in curves if curve.name == name}
    known = [(row.beta, row.exact[name]) for row in rows if name in row.exact and row.exact[name].of not in drawn]
    for of in sorted({exact.of for _, exact in known}):
        points = [(beta, exact.value) for beta, exact in known if exact.of == of]
        ax.plot(*zip(*points, strict=True), "+", color=GREEN, markersize=10, label=f"exact, {of}", zorder=3)


def _panel(
    ax: Axes, name: str, rows: Sequence[SweepRow], curves: Sequence[Curve], critical: float | None, *, is_first: bool
) -> None:
    for index, curve in enumerate(c for c in curves if c.name == name):
        line = {"linestyle": DASHES[index]} if len(curve.betas) > 1 else POINT
        ax.plot(curve.betas, curve.values, color=GREEN, label=f"exact, {curve.of}", zorder=1, **line)
    _exact_points(ax, name, rows, curves)
    values = np.array([row.observables[name].value for row in rows])
    errors = np.array([row.observables[name].std_error for row in rows])
    errors = np.where(np.isfinite(errors), errors, 0.0)
    betas = [row.beta for row in rows]
    ax.errorbar(betas, values, errors, fmt="o", markersize=3.5, color=BLUE, capsize=2, label="estimate", zorder=2)
    doubtful = [not row.observables[name].reliable for row in rows]
    if any(doubtful):
        where = np.flatnonzero(doubtful)
        ax.plot(np.array(betas)[where], values[where], "x", color=SOFT, markersize=8, label="too few independent draws")
    if critical is not None and min(betas) <= critical <= max(betas):
        words = "critical point, the infinite lattice" if is_first else None
        ax.axvline(critical, color=SOFT, linewidth=0.8, linestyle=":", label=words)
    ax.set_xlabel("inverse temperature")
    ax.set_ylabel(label(name))
    ax.legend(loc="best", fontsize=8)


def _crowd(ax: Axes, names: Sequence[str], rows: Sequence[SweepRow], curves: Sequence[Curve]) -> None:
    """Sister observables in one panel, a colour each; lines are exact."""
    betas = [row.beta for row in rows]
    for name, colour, marker in zip(names, SERIES, MARKERS, strict=False):
        for curve in (c for c in curves if c.name == name):
            ax.plot(curve.betas, curve.values, color=colour, zorder=1)
        values = np.array([row.observables[name].value for row in rows])
        errors = np.array([row.observables[name].std_error for row in rows])
        errors = np.where(np.isfinite(errors), errors, 0.0)
        ax.errorbar(
            betas, values, errors, fmt=marker, markersize=3.5, color=colour, capsize=2, label=name.replace("_", " ")
        )
    ax.set_xlabel("inverse temperature")
    ax.set_ylabel(label(names[0]))
    ax.legend(loc="best", fontsize=8)


def label(name: str) -> str:
    """What an axis says of an observable."""
    return LABELS.get(name, LABELS.get(name.partition("_")[0], name.replace("_", " ")))
