"""A classifier before and after scaling: tables, reliability diagrams with intervals, files, and one page."""

import dataclasses
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from energax.evaluation.calibration import Calibrated
from energax.evaluation.calibration.compare import BEFORE, parameters
from energax.runtime.assess import plain
from energax.runtime.disk import write_atomically

from .canvas import BLUE, GREEN, RED, SOFT, Panel, draw, png
from .chapters import Chapter
from .sheet import write_sheet
from .tables import Cell, Table

FIGURES = {
    "accuracy": "accuracy",
    "nll": "NLL",
    "brier": "Brier",
    "ece": "ECE",
    "ece_mass": "ECE, equal mass",
    "ece_classwise": "ECE, class-wise",
    "ece2_debiased": "ECE², debiased",
}
"""Measure -> its column's head."""
WIDTH, HEIGHT = 3.4, 3.4  # inches a diagram
PARTS = ("total", "reliability", "resolution", "uncertainty", "within")

TERMS = (
    (
        "Confidence",
        "The probability that the classifier gives to its likeliest class. It is calibrated if among rows of "
        "confidence 0.8 it is right in 80 of 100.",
    ),
    (
        "ECE",
        "Expected calibration error: the mean distance of accuracy and confidence over bins. Chance alone makes it "
        "positive, the more the fewer rows a bin has.",
    ),
    (
        "ECE², debiased",
        "The squared distance without that bias: 0 on average for a calibrated classifier, and so below 0 about half "
        "the time. Its distance from 0 in standard deviations is given beside it.",
    ),
    ("NLL", "Minus the log of the probability of the class that came, in nats; infinite if that was 0."),
    ("Brier", "Squared distance of the probabilities to what came, from 0 to 2."),
    (
        "Reliability, resolution, uncertainty",
        "A score is reliability (what false probabilities cost) less resolution (what telling cases apart gains) plus "
        "uncertainty (the score of knowing only how frequent classes are), plus what groups of rows hide.",
    ),
    ("Error", "One standard error by the jackknife over 20 groups of test rows."),
)


def rows(found: Mapping[str, Calibrated]) -> list[list[str]]:
    """A line of heads, then a line a measure: its name, and its value with its standard error by each method."""
    lines = [["", *found]]
    for measure, head in FIGURES.items():
        lines.append([head, *(_words(*each.figures[measure]) for each in found.values())])
    return lines


def markdown(found: Mapping[str, Calibrated]) -> list[str]:
    """The table of figures."""
    heads, *lines = rows(found)
    return [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}", *(f"| {' | '.join(row)} |" for row in lines)]


def write_calibration(
    folder: Path,
    found: Mapping[str, Calibrated],
    refused: Mapping[str, str],
    facts: Mapping[str, Any],
    command: str,
) -> dict[str, Path]:
    """Writes calibration.json, .md, .svg and .png, calibrated.npz and report.html into `folder` -> their paths.

    Args:
        folder: Made if it is not there.
        found: What `compare` found, "before" first.
        refused: Method -> why it could not be fitted.
        facts: What else belongs into calibration.json (files, numbers of rows).
        command: What was typed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    columns = min(2, len(found))
    lines = -(-len(found) // columns)
    size = (WIDTH * columns, HEIGHT * lines)

    def paint(figure: Figure) -> None:
        for place, (name, each) in enumerate(found.items()):
            ax = figure.add_subplot(lines, columns, place + 1)
            _diagram(ax, each)
            ax.set_title(name)

    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **{name: each.probabilities for name, each in found.items()})
    record = {
        **facts,
        "figures": {name: _record(each) for name, each in found.items()},
        "parameters": parameters(found),
        "refused": dict(refused),
    }
    contents = {
        "calibration.json": json.dumps(plain(record), indent=1).encode(),
        "calibration.md": ("\n".join(markdown(found)) + "\n").encode(),
        "calibration.svg": draw(
            "calibration", "Reliability", "", _alt(found), paint, width=size[0], height=size[1]
        ).content,
        "calibration.png": png(paint, width=size[0], height=size[1]),
        "calibrated.npz": packed.getvalue(),
    }
    for name, content in contents.items():
        write_atomically(folder / name, [content])
    paths = {name.partition(".")[2]: folder / name for name in contents}
    paths["html"] = write_sheet(
        folder / "report.html",
        "Does the model mean what it says?",
        _sentence(found),
        _chapters(found, refused),
        brand="energax calibration report",
        facts=[("rows fitted to", f"{facts['rows_fit']:,}"), ("rows tested on", f"{facts['rows_test']:,}")],
        commands=[("Calibrate again", command)],
        terms=TERMS,
    )
    return paths


def _record(each: Calibrated) -> dict[str, Any]:
    return {
        "figures": {name: {"value": value, "error": error} for name, (value, error) in each.figures.items()},
        "change": {name: {"value": value, "error": error} for name, (value, error) in each.change.items()},
        "ece2_debiased_sigma": each.null_sigma,
        "parts": {name: dataclasses.asdict(parts) for name, parts in each.parts.items()},
        "reliability": {name: values.tolist() for name, values in vars(each.reliability).items()},
    }


def _sentence(found: Mapping[str, Calibrated]) -> str:
    before = found[BEFORE]
    gap = float(before.reliability.num @ (before.reliability.confidence - before.reliability.accuracy))
    mean = gap / before.reliability.num.sum()
    which = "too sure" if mean > 0 else "not sure enough"
    distance = (
        f"its debiased squared error lies {before.null_sigma:.1f} standard deviations from that of a calibrated model."
        if np.isfinite(before.null_sigma)
        else "its debiased squared error has no spread by chance to be compared with: where a bin holds more than one "
        "row, every confidence is 1."
    )
    return f"Before scaling it is {which} by {100 * abs(mean):.1f} points on average; {distance}"


def _chapters(found: Mapping[str, Calibrated], refused: Mapping[str, str]) -> list[Chapter]:
    panels = tuple(_panel(name, each) for name, each in found.items())
    absent = tuple(f"{name}: {why}" for name, why in refused.items())
    return [
        Chapter(
            "figures",
            "Before and after",
            "Fitted to some rows, measured on others. Value ± one standard error; accuracy is better high, all the "
            "others low.",
            tables=tuple(table for table in (_figures(found), _changes(found)) if table.rows),
            absent=absent,
        ),
        Chapter(
            "reliability",
            "Accuracy against confidence",
            "On the dashed line the classifier means what it says; below it, it is too sure, red where it is so "
            "beyond chance. Bars are 95 % intervals, grey columns the share of the rows in each bin.",
            panels,
        ),
        Chapter(
            "parts",
            "What the scores are made of",
            "total = reliability − resolution + uncertainty + within. Scaling can mend the first; resolution is what "
            "the classifier knows.",
            tables=(_parts(found, "nll", "NLL (nats)"), _parts(found, "brier", "Brier score")),
        ),
    ]


def _figures(found: Mapping[str, Calibrated]) -> Table:
    lines = []
    for measure, head in FIGURES.items():
        values = {name: each.figures[measure][0] for name, each in found.items()}
        best = None if measure == "ece2_debiased" else (max if measure == "accuracy" else min)(values.values())
        cells = (Cell(_words(*found[name].figures[measure]), best=value == best) for name, value in values.items())
        lines.append((Cell(head), *cells))
    lines.append((Cell("its standard deviations"), *(Cell(_deviations(each)) for each in found.values())))
    return Table("before-after", "Figures on test rows", ("", *found), tuple(lines))


def _deviations(each: Calibrated) -> str:
    return f"{each.null_sigma:.1f}" if np.isfinite(each.null_sigma) else "undefined"


def _changes(found: Mapping[str, Calibrated]) -> Table:
    after = {name: each for name, each in found.items() if each.change}
    lines = (
        (Cell(head), *(Cell(_words(*each.change[measure], sign="+")) for each in after.values()))
        for measure, head in FIGURES.items()
    )
    caption = "Change from before, each row against itself: one of under two errors may be chance"
    return Table("changes", caption, ("", *after), tuple(lines) if after else ())


def _parts(found: Mapping[str, Calibrated], score: str, title: str) -> Table:
    lines = tuple(
        (Cell(name), *(Cell(_words(getattr(each.parts[score], part))) for part in PARTS))
        for name, each in found.items()
    )
    return Table(f"parts-{score}", title, ("", *PARTS), lines)


def _words(value: float, error: float | None = None, sign: str = "") -> str:
    if not np.isfinite(value):
        return "infinite" if value > 0 else "undefined"
    return f"{value:{sign}.4f}" + ("" if error is None else f" ± {error:.4f}")


def _alt(found: Mapping[str, Calibrated]) -> str:
    return "Reliability diagrams; expected calibration errors: " + ", ".join(
        f"{name} {each.figures['ece'][0]:.3f}" for name, each in found.items()
    )


def _panel(name: str, each: Calibrated) -> Panel:
    def paint(figure: Figure) -> None:
        _diagram(figure.add_subplot(), each)

    error = each.figures["ece"]
    return draw(
        f"reliability-{name}",
        name,
        f"ECE {_words(*error)} over {each.reliability.num.sum():,} rows.",
        f"Accuracy against confidence, {name}: "
        + ", ".join(
            f"{c:.2f} {a:.2f}" for c, a in zip(each.reliability.confidence, each.reliability.accuracy, strict=True)
        ),
        paint,
        width=WIDTH,
        height=HEIGHT,
    )


def _diagram(ax: Axes, each: Calibrated) -> None:
    found = each.reliability
    ax.bar(found.confidence, found.num / found.num.sum(), width=0.03, color=SOFT, alpha=0.35, linewidth=0)
    ax.plot([0, 1], [0, 1], color=GREEN, linestyle="--", linewidth=1.0)
    reach = np.stack([found.accuracy - found.low, found.high - found.accuracy])
    sure = found.confidence > found.high
    for which, colour in ((~sure, BLUE), (sure, RED)):
        if which.any():
            ax.errorbar(
                found.confidence[which],
                found.accuracy[which],
                yerr=np.maximum(reach[:, which], 0.0),
                fmt="o",
                markersize=4,
                capsize=2,
                color=colour,
            )
    ax.set_xlim(0, 1.02)
    ax.set_ylim(0, 1.02)
    ax.set_xlabel("confidence")
    ax.set_ylabel("accuracy")
