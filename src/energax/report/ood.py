"""Scores against foreign sets as a table, as files, as histograms, and as one page."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from energax.evaluation import Detection
from energax.evaluation.ood import Comparison, Detector
from energax.runtime.assess import plain
from energax.runtime.disk import write_atomically

from .canvas import BLUE, DASHES, GREEN, ORANGE, PURPLE, RED, SKY, SOFT, Panel, axes, draw, png, short
from .chapters import Chapter
from .sheet import write_sheet
from .tables import Cell, Table

HEADS = ("score", "AUROC", "95 %", "AUPR", "95 %", "FPR95", "95 %")
_COLOURS = (RED, PURPLE, ORANGE, SKY, BLUE, SOFT)
_MOST_SETS = len(_COLOURS)
WIDTH, HEIGHT = 3.4, 2.3  # inches a panel

TERMS = (
    (
        "Score",
        "One number a sample; a high one always means unusual. Only the order counts: units differ.",
    ),
    ("AUROC", "The chance that a foreign sample has a higher score than a known one; 0.5 is a guess, 1 never errs."),
    (
        "AUPR",
        "Precision averaged over recall with foreign samples to be found. A guess reaches their share, so it "
        "depends on how many there are of each kind.",
    ),
    (
        "FPR95",
        "The share of foreign samples that is let in by the threshold that keeps 95 % of the known ones. Low is good.",
    ),
    ("Interval", "95 % by the bootstrap: known and foreign samples are drawn anew, each among themselves."),
)


def rows(found: Comparison, label: str) -> list[list[str]]:
    """One foreign set's table in words, a line a score under `HEADS`."""
    return [[name, *_figures(table[label])] for name, table in found.found.items()]


def markdown(found: Comparison) -> list[str]:
    """A heading and a table a foreign set."""
    lines: list[str] = []
    for label in _sets(found):
        lines += [f"### {label}", "", f"| {' | '.join(HEADS)} |", f"|{' --- |' * len(HEADS)}"]
        lines += [f"| {' | '.join(row)} |" for row in rows(found, label)] + [""]
    return lines


def write_ood(
    folder: Path, found: Comparison, shipped: Mapping[str, Detector], facts: Mapping[str, Any], command: str
) -> dict[str, Path]:
    """Writes ood.json, ood.md, ood.svg, ood.png and report.html into `folder` -> their paths.

    Args:
        folder: Made if it is not there.
        found: What `compare` found.
        shipped: The detectors by name, for their titles.
        facts: What else belongs into ood.json (files, seed).
        command: What was typed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = list(found.found)
    columns = min(3, len(names))
    height = HEIGHT * -(-len(names) // columns)

    def paint(figure: Figure) -> None:
        for place, name in enumerate(names):
            ax = figure.add_subplot(-(-len(names) // columns), columns, place + 1)
            _histogram(ax, found, name)
            ax.set_title(name)
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=4)

    width = WIDTH * columns
    record = {
        **facts,
        "known": {name: len(values) for name, values in found.known.items()},
        "scores": {name: {s: d.as_dict() for s, d in table.items()} for name, table in found.found.items()},
        "left_out": found.left_out,
    }
    contents = {
        "ood.json": json.dumps(plain(record), indent=1).encode(),
        "ood.md": ("\n".join(markdown(found)) + "\n").encode(),
        "ood.svg": draw("ood", "Scores", "", "Histograms of every score.", paint, width=width, height=height).content,
        "ood.png": png(paint, width=width, height=height),
    }
    for name, content in contents.items():
        write_atomically(folder / name, [content])
    paths = {name.partition(".")[2]: folder / name for name in contents}
    paths["html"] = write_sheet(
        folder / "report.html",
        "Does the model know what it does not know?",
        f"{len(names)} scores of {', '.join(_sets(found))} against known samples.",
        _chapters(found, shipped),
        brand="energax out-of-distribution report",
        facts=[("known samples", f"{next(iter(found.known.values())).size:,}"), *_counts(found)],
        commands=[("Score again", command)],
        terms=TERMS,
    )
    return paths


def _chapters(found: Comparison, shipped: Mapping[str, Detector]) -> list[Chapter]:
    tables = tuple(_table(found, label, place) for place, label in enumerate(_sets(found)))
    panels = tuple(_panel(found, name, shipped[name].title) for name in found.found)
    left = tuple(f"{name}: {why}." for name, why in found.left_out.items())
    return [
        Chapter(
            "figures",
            "Which score tells them apart",
            "Intervals that overlap say that the order of two scores may be chance. A set on which all reach 1 proves "
            "nothing.",
            (_auroc_panel(found),),
            tables,
        ),
        Chapter(
            "histograms",
            "What the scores look like",
            "High is unusual. Where the foreign samples lie on the known ones the score cannot tell them apart; where "
            "they lie to the left it is worse than a guess.",
            panels,
        ),
        Chapter(
            "left-out",
            "Scores that could not be had",
            "Each needs arrays of its own; what was missing is said here.",
            absent=left or ("None: every score had its arrays.",),
        ),
    ]


def _table(found: Comparison, label: str, place: int) -> Table:
    figures = {name: table[label] for name, table in found.found.items()}
    best = {
        1: max(value.auroc for value in figures.values()),
        3: max(value.aupr for value in figures.values()),
        5: min(value.fpr95 for value in figures.values()),
    }
    lines = tuple(
        tuple(
            Cell(text, best=column in best and best[column] == {1: each.auroc, 3: each.aupr, 5: each.fpr95}[column])
            for column, text in enumerate([name, *_figures(each)])
        )
        for name, each in figures.items()
    )
    return Table(f"set-{place + 1}", f"{label}: each score's figures with 95 % intervals", HEADS, lines)


def _figures(each: Detection) -> list[str]:
    words = []
    for value, (low, high) in (
        (each.auroc, each.auroc_interval),
        (each.aupr, each.aupr_interval),
        (each.fpr95, each.fpr95_interval),
    ):
        words += [f"{value:.3f}", f"{low:.3f}–{high:.3f}"]
    return words


def _sets(found: Comparison) -> list[str]:
    return list(next(iter(found.found.values())))


def _counts(found: Comparison) -> Sequence[tuple[str, str]]:
    first = next(iter(found.foreign.values()))
    return [(label, f"{values.size:,}") for label, values in first.items()]


def _panel(found: Comparison, name: str, title: str) -> Panel:
    medians = ", ".join(f"{label} {np.median(values):.4g}" for label, values in _samples(found, name))
    alt = f"Histograms of {name}; medians {medians}."

    def paint(figure: Figure) -> None:
        ax = figure.add_subplot()
        _histogram(ax, found, name)
        ax.set_xlabel("score; high is unusual")
        ax.set_ylabel("density")
        figure.legend(*ax.get_legend_handles_labels(), loc="outside upper left", ncols=3)

    return draw(f"score-{name}", name, f"{title[0].upper()}{title[1:]}.", alt, paint)


def _samples(found: Comparison, name: str) -> list[tuple[str, np.ndarray]]:
    """(label, values) of the known samples and of each foreign set, which may be called "known" too."""
    return [("known", found.known[name]), *found.foreign[name].items()]


def _histogram(ax: Axes, found: Comparison, name: str) -> None:
    sets = _samples(found, name)[: 1 + _MOST_SETS]
    low, high = (float(v) for v in np.percentile(np.concatenate([values for _, values in sets]), [0.2, 99.5]))
    edges = np.linspace(low, high if high > low else low + 1.0, 40)
    for (label, values), colour, dash in zip(sets, (GREEN, *_COLOURS), DASHES, strict=False):
        # what lies beyond the frame is counted in its last bins
        shape, _ = np.histogram(np.clip(values, edges[0], edges[-1]), bins=edges)
        density = shape / (values.size * np.diff(edges))
        ax.stairs(density, edges, fill=True, color=colour, alpha=0.14, linewidth=0)
        ax.stairs(density, edges, color=colour, linestyle=dash, linewidth=1.4, label=short(label, 18))
    ax.yaxis.set_major_locator(MaxNLocator(4))
    ax.xaxis.set_major_locator(MaxNLocator(5))


def _auroc_panel(found: Comparison) -> Panel:
    """AUROC of every score with its interval, a colour a set."""
    names, sets = list(found.found), _sets(found)[:_MOST_SETS]

    def paint(figure: Figure) -> None:
        ax = axes(figure, "AUROC; right is better, 0.5 is a guess")
        ax.axvline(0.5, color=SOFT, linestyle=DASHES[1], linewidth=1.0)
        for index, (label, colour) in enumerate(zip(sets, _COLOURS, strict=False)):
            shift = 0.5 * (index - (len(sets) - 1) / 2) / max(len(sets), 1)
            each = [found.found[name][label] for name in names]
            values = np.array([d.auroc for d in each])
            ends = np.array([d.auroc_interval for d in each])
            reach = np.abs(np.stack([np.minimum(0, ends[:, 0] - values), np.maximum(0, ends[:, 1] - values)]))
            places = -np.arange(len(names)) - shift
            ax.errorbar(values, places, xerr=reach, fmt="o", markersize=4, capsize=2, color=colour, label=short(label))
        ax.set_yticks(-np.arange(len(names)), [short(name, 20) for name in names])
        ax.set_ylim(-len(names) + 0.4, 0.6)
        ax.grid(visible=False, axis="y")
        figure.legend(*ax.get_legend_handles_labels(), loc="outside upper left", ncols=3)

    words = "; ".join(
        f"{name}: " + ", ".join(f"{label} {found.found[name][label].auroc:.3f}" for label in sets) for name in names
    )
    return draw(
        "auroc",
        "AUROC of every score",
        "The bar is the 95 % interval.",
        f"AUROC with intervals. {words}.",
        paint,
        height=max(2.2, 1.0 + (0.16 + 0.08 * len(sets)) * len(names)),
    )
