"""Samples beside data and beside their nearest training items: grids of images, scatters in the plane, histograms."""

import io
from collections.abc import Mapping
from typing import Any

import matplotlib.image
import numpy as np
from matplotlib.figure import Figure

from .canvas import BLUE, DASHES, INK, RED, Panel, axes, draw, finite, left_out, legend_above, short
from .gather import RunFolder, as_images, number, section
from .judgement import say

_GRID = 8  # images a side
_PAIRS = 12  # sample and neighbour, side by side
_MOST_DIMS = 9  # histograms of a vector's first coordinates
_MOST_POINTS = 4000
_NO_STAMP: Any = {"Software": None}  # the same bytes whatever version of matplotlib drew them


def sample_panels(run: RunFolder) -> list[Panel]:
    """The figures of the samples section; empty where no samples were stored.

    Args:
        run: The run folder; reads the arrays samples, data_test, data_train and neighbours.
    """
    samples, data = run.arrays.get("samples"), run.arrays.get("data_test", run.arrays.get("data_train"))
    if samples is None or samples.ndim < 2:
        return []
    images = as_images(run, samples)
    if images is not None:
        return _image_panels(run, images)
    flat = samples.reshape(len(samples), -1)
    others = data.reshape(len(data), -1) if data is not None and data.ndim >= 2 else None
    if others is not None and others.shape[1] != flat.shape[1]:
        others = None
    if flat.shape[1] == 2:
        return _scatters(flat, others)
    return [_histogram(flat, others, i) for i in range(min(flat.shape[1], _MOST_DIMS))]


def _image_panels(run: RunFolder, samples: np.ndarray) -> list[Panel]:
    stored = {name: run.arrays.get(name) for name in ("data_test", "data_train", "neighbours")}
    sets = {name: None if x is None else as_images(run, x) for name, x in stored.items()}
    data = next((x for x in (sets["data_test"], sets["data_train"]) if x is not None), None)
    low, high = _range(data if data is not None else samples)
    count = min(_GRID * _GRID, len(samples))
    panels = [
        grid_panel(
            "samples",
            "Samples of the model",
            f"{count} samples in the order they were drawn: not chosen, not sorted.{_noise(run)}",
            samples[:count],
            low,
            high,
        )
    ]
    if data is not None:
        kind = "held-out" if sets["data_test"] is not None else "training"
        shown = data[: _GRID * _GRID]
        panels.append(grid_panel("data", "Real data", f"{len(shown)} {kind} items for comparison.", shown, low, high))
    near = sets["neighbours"]
    if near is not None and near.shape[1:] == samples.shape[1:]:
        pairs = min(_PAIRS, len(near), len(samples))
        # One row of samples over one row of neighbours, several such double rows below each other.
        per_row = min(6, pairs)
        rows = [
            part for start in range(0, pairs, per_row) for part in (samples[start:][:per_row], near[start:][:per_row])
        ]
        filled = [np.concatenate([row, np.full((per_row - len(row), *row.shape[1:]), low)]) for row in rows]
        panels.append(
            grid_panel(
                "neighbours",
                "Samples and their nearest training items",
                "In each pair of rows: samples above, the nearest training item below. Copies would be alike to the "
                "pixel.",
                np.concatenate([row[:per_row] for row in filled]),
                low,
                high,
                columns=per_row,
                pair_rows=True,
            )
        )
    return panels


def _noise(run: RunFolder) -> str:
    noise = number(section(run.evaluation, "dataset").get("dequantisation"))
    if not noise:
        return ""
    return (
        f" They carry the noise that training added to the data (standard deviation {say(noise)}); real data does not."
    )


def class_panel(evaluation: Mapping[str, Any]) -> Panel | None:
    """How often a classifier sees each class among samples and among held-out data."""
    shares = section(evaluation, "sample_quality", "class_shares")
    pairs = {name: pair for name, pair in shares.items() if isinstance(pair, list) and len(pair) == 2}
    table = {name: [number(v) for v in pair] for name, pair in pairs.items()}
    known = {name: (v[0], v[1]) for name, v in table.items() if v[0] is not None and v[1] is not None}
    if not 2 <= len(known) <= 64:
        return None
    places = np.arange(len(known))
    ours, theirs = (np.array([float(pair[i]) for pair in known.values()]) for i in (0, 1))

    def paint(figure: Figure) -> None:
        ax = axes(figure, "class", "share (fraction)")
        ax.bar(places - 0.2, theirs, width=0.38, color=BLUE, label="held-out data")
        ax.bar(places + 0.2, ours, width=0.38, color=RED, label="samples", hatch="////", edgecolor=INK, linewidth=0.4)
        every = -(-len(known) // 12)
        ax.set_xticks(places[::every], [short(name, 6) for name in known][::every])
        ax.set_ylim(bottom=0)
        ax.grid(axis="x", visible=False)
        legend_above(figure, ax)

    worst = list(known)[int(np.argmax(np.abs(ours - theirs)))]
    return draw(
        "classes",
        "Classes of the samples",
        "What a small classifier sees in the samples beside held-out data. A class that is missing or too frequent "
        f"is a well whose mass the model gets wrong. The largest difference is in class {short(worst, 12)}.",
        "Bars of class shares: " + "; ".join(f"{n} {o:.3f} against {t:.3f}" for n, (o, t) in known.items()) + ".",
        paint,
    )


def _range(x: np.ndarray) -> tuple[float, float]:
    values = finite(x)
    if not values.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, [0.5, 99.5]))
    return (low, high) if high > low else (low, low + 1.0)


def grid_panel(
    name: str,
    title: str,
    caption: str,
    images: np.ndarray,
    low: float,
    high: float,
    *,
    columns: int = _GRID,
    pair_rows: bool = False,
) -> Panel:
    """One PNG of images side by side, each pixel blown up to whole screen pixels; the grey scale is shared."""
    height, width = images.shape[1:3]
    zoom = max(1, round(320 / (columns * max(width, 1))))
    rows = -(-len(images) // columns)
    tiles = np.clip((images - low) / (high - low), 0.0, 1.0)
    tiles = np.where(np.isfinite(tiles), tiles, 0.0)  # black; the caption below says how many pixels these are
    tiles = np.repeat(tiles, 3, axis=-1) if tiles.shape[-1] == 1 else tiles
    gap, thick = 3, 12 if pair_rows else 3
    tall, broad = height * zoom, width * zoom
    tops, y = [], gap
    for row in range(rows):
        tops.append(y)
        y += tall + (thick if pair_rows and row % 2 else gap)
    sheet = np.ones((tops[-1] + tall + gap, columns * (broad + gap) + gap, 4), dtype=np.float32)
    sheet[..., 3] = 0.0  # transparent between the tiles
    for index, tile in enumerate(tiles):
        top, left = tops[index // columns], gap + (index % columns) * (broad + gap)
        sheet[top : top + tall, left : left + broad, :3] = tile.repeat(zoom, axis=0).repeat(zoom, axis=1)
        sheet[top : top + tall, left : left + broad, 3] = 1.0
    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, sheet, format="png", metadata=_NO_STAMP)
    alt = f"{title}: {len(images)} images of {height} by {width} pixels in {rows} rows."
    return Panel(name, title, caption + left_out(images), alt, "png", buffer.getvalue(), sheet.shape[1], sheet.shape[0])


def _scatters(samples: np.ndarray, data: np.ndarray | None) -> list[Panel]:
    clouds = [("samples", "Samples of the model", samples, RED)]
    if data is not None:
        clouds.append(("data", "Real data", data, BLUE))
    both = np.concatenate([cloud for _, _, cloud, _ in clouds])
    both = both[np.isfinite(both).all(axis=1)]
    if not len(both):
        return []
    centre, reach = _box(data if data is not None else samples)
    panels = []
    for name, title, cloud, colour in clouds:
        keep = np.isfinite(cloud).all(axis=1)
        shown = cloud[keep][:_MOST_POINTS]
        outside = int((np.abs(shown - centre) > reach).any(axis=1).sum())
        note = f" {outside:,} lie outside the frame." if outside else ""

        def paint(figure: Figure, shown: np.ndarray = shown, colour: str = colour) -> None:
            ax = axes(figure, "x₁ (units of the data)", "x₂ (units of the data)")
            ax.scatter(shown[:, 0], shown[:, 1], s=3.0, color=colour, alpha=0.5, linewidths=0, rasterized=True)
            ax.set_xlim(centre[0] - reach, centre[0] + reach)
            ax.set_ylim(centre[1] - reach, centre[1] + reach)
            ax.set_aspect("equal")

        caption = f"{len(shown):,} points.{note}{left_out(cloud)}"
        panels.append(draw(name, title, caption, f"{title}: scatter of {len(shown):,} points.", paint, height=3.6))
    return panels


def _box(x: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre and half-width of a square that holds the finite rows of `x` with a margin."""
    rows = x[np.isfinite(x).all(axis=1)]
    if not len(rows):
        return np.zeros(2), 1.0
    low, high = rows.min(axis=0), rows.max(axis=0)
    return (low + high) / 2, float((high - low).max()) * 0.56 or 1.0


def _histogram(samples: np.ndarray, data: np.ndarray | None, index: int) -> Panel:
    ours = finite(samples[:, index])
    theirs = finite(data[:, index]) if data is not None else np.zeros(0)
    frame = theirs if theirs.size else ours
    low, high = (frame.min(), frame.max()) if frame.size else (0.0, 1.0)
    margin = 0.1 * (high - low) or 1.0
    edges = np.linspace(low - margin, high + margin, 41).tolist()

    def paint(figure: Figure) -> None:
        ax = axes(figure, f"coordinate {index + 1} (units of the data)", "density")
        if theirs.size:
            ax.hist(theirs, bins=edges, density=True, histtype="stepfilled", alpha=0.25, color=BLUE, label="data")
            ax.hist(theirs, bins=edges, density=True, histtype="step", color=BLUE, linewidth=1.2)
        if ours.size:
            ax.hist(
                ours,
                bins=edges,
                density=True,
                histtype="step",
                color=RED,
                linestyle=DASHES[1],
                label="samples",
                linewidth=1.6,
            )
        legend_above(figure, ax)

    return draw(
        f"coordinate-{index + 1}",
        f"Coordinate {index + 1}",
        f"Samples beside data.{left_out(samples[:, index])}",
        f"Histogram of coordinate {index + 1}: mean {ours.mean() if ours.size else float('nan'):.3g} of the samples, "
        f"{theirs.mean() if theirs.size else float('nan'):.3g} of the data.",
        paint,
    )
