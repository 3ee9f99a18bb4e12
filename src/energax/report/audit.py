"""The audit as a table, as files and as a figure: what each method recovers of each problem, with errors over seeds."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from energax.audit import Summary, methods, problems
from energax.audit.blindness import blindness
from energax.audit.measures import MEASURES
from energax.runtime.assess import plain
from energax.runtime.disk import write_atomically

from .canvas import BLUE, DASHES, RED, SERIES, SOFT, draw, log_axis, png

WIDTH = 8.6  # inches
DISTANCES = tuple(0.5 * step for step in range(1, 25))
COLUMNS = {name: head for name, head in MEASURES.items() if name != "nll_width"}
SHORT = {"kl": "KL", "nll": "NLL", "mass_error": "mass off", "log_z_error": "own log Z off", "seconds": "CPU s"}
"""Columns that a screen has room for."""


def write_audit(folder: Path, found: list[Summary], facts: Mapping[str, Any]) -> dict[str, Path]:
    """Writes audit.json, audit.md, audit.svg and audit.png into `folder` -> their paths.

    Args:
        folder: An existing folder.
        found: At least one summary.
        facts: What else belongs into audit.json (budget, date).
    """
    rows = [len(group) for group in grouped(found).values()]
    height = 0.8 * len(rows) + 0.22 * sum(rows)
    alt = "For each problem, the KL divergence or held-out NLL of each method, and how far its modes' masses are off."

    def paint(figure: Figure) -> None:
        _paint(figure, found)

    contents = {
        "audit.json": json.dumps(plain({**facts, "rows": [each.as_dict() for each in found]}), indent=1).encode(),
        "audit.md": ("\n".join(markdown(found)) + "\n").encode(),
        "audit.svg": draw("audit", "Audit", "", alt, paint, width=WIDTH, height=height).content,
        "audit.png": png(paint, width=WIDTH, height=height),
    }
    for name, content in contents.items():
        write_atomically(folder / name, [content])
    return {name.partition(".")[2]: folder / name for name in contents}


def write_blindness(folder: Path, distances: Sequence[float] = DISTANCES) -> dict[str, Path]:
    """Writes blindness.json, blindness.svg and blindness.png into `folder` -> their paths; computed on the spot.

    Args:
        folder: An existing folder.
        distances: Between the two modes, in their standard deviations, rising.
    """
    found = blindness(distances)

    def paint(figure: Figure) -> None:
        ax = figure.add_subplot()
        for row, (name, values) in enumerate(found.items()):
            ax.plot(distances, np.maximum(values, 1e-9), color=SERIES[row], linestyle=DASHES[row], label=name)
        log_axis(ax)
        ax.set_ylim(1e-6, 5.0)
        ax.set_xlabel("distance between the modes (their standard deviations)")
        ax.set_ylabel("excess over the best, 1 at 2")
        ax.legend(loc="lower left")

    alt = "What each rule pays for wrong mode masses against the distance between modes: all but KL fall to nothing."
    numbers = {"distances": list(distances), **{name: values.tolist() for name, values in found.items()}}
    contents = {
        "blindness.json": json.dumps(numbers, indent=1).encode(),
        "blindness.svg": draw("blindness", "Blindness", "", alt, paint, width=6.0, height=3.4).content,
        "blindness.png": png(paint, width=6.0, height=3.4),
    }
    for name, content in contents.items():
        write_atomically(folder / name, [content])
    return {name.partition(".")[2]: folder / name for name in contents}


def grouped(found: Iterable[Summary]) -> dict[str, list[Summary]]:
    """Summaries by problem, in their order."""
    groups: dict[str, list[Summary]] = {}
    for each in found:
        groups.setdefault(each.problem, []).append(each)
    return groups


def cells(group: list[Summary], columns: Mapping[str, str] = COLUMNS) -> tuple[list[str], list[list[str]]]:
    """(heads, rows of words) of one problem; columns that hold nothing are left out."""
    names = [name for name in columns if any(each.means[name] is not None for each in group)]
    heads = ["method", *(columns[name] for name in names), "diverged"]
    rows = []
    for each in group:
        gone = f"{each.diverged} of {each.seeds}" if each.diverged else ""
        rows.append([each.method, *(_words(each, name) for name in names), gone])
    return heads, rows


def markdown(found: Iterable[Summary]) -> list[str]:
    """A heading and a table a problem."""
    lines: list[str] = []
    for problem, group in grouped(found).items():
        heads, rows = cells(group)
        title = problems()[problem].TITLE if problem in problems() else problem
        lines += [f"### `{problem}`: {title}", ""]
        lines += [f"Seeds: {max(each.seeds for each in group)}; budget: {group[0].budget:,} evaluations.", ""]
        lines += [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
        lines += [f"| {' | '.join([f'`{row[0]}`', *row[1:]])} |" for row in rows] + [""]
    return lines


def titles(names: Iterable[str]) -> list[str]:
    """What the methods of the table are, a line each."""
    known = methods()
    return [f"- `{name}`: {known[name].TITLE}" for name in sorted(set(names)) if name in known]


def _words(each: Summary, name: str) -> str:
    text = each.text(name, 4 if name == "kl" else 3)
    width = each.means["nll_width"]
    return f"{text} (bracket {width:.2f})" if name == "nll" and width is not None else text


def _paint(figure: Figure, found: list[Summary]) -> None:
    groups = grouped(found)
    ratios = [0.8 + 0.22 * len(group) for group in groups.values()]
    axes = figure.subplots(len(groups), 2, squeeze=False, gridspec_kw={"height_ratios": ratios})
    for (left, right), (problem, group) in zip(axes, groups.items(), strict=True):
        known = any(each.means["kl"] is not None for each in group)
        _bars(left, group, "kl" if known else "nll", log=known)
        left.set_title(problem)
        left.set_xlabel("KL to the truth (nats)" if known else "held-out NLL (nats)")
        _bars(right, group, "mass_error", log=False)
        right.set_yticklabels([])
        right.set_xlabel("worst mode mass, off by")


def _bars(ax: Axes, group: list[Summary], name: str, *, log: bool) -> None:
    """A point a method with its standard error; a cross where every run diverged."""
    values = [each.means[name] for each in group]
    known = [value for value in values if value is not None and (value > 0 or not log)]
    for row, (each, value) in enumerate(zip(group, values, strict=True)):
        error = each.errors[name] or 0.0
        if value is not None and (value > 0 or not log):
            reach = np.array([[min(error, 0.9 * value) if log else error], [error]])
            color = RED if each.diverged else BLUE
            ax.errorbar(value, row, xerr=reach, fmt="o", markersize=4.5, color=color, capsize=2)
        elif each.diverged == each.seeds and known:
            ax.plot(max(known), row, "x", color=RED)
    if not known:
        ax.text(0.5, 0.5, "no modes", transform=ax.transAxes, ha="center", va="center", color=SOFT)
        ax.set_xticks([])
    if log and known:
        log_axis(ax, "x")
    ax.set_yticks(range(len(group)), [each.method for each in group])
    ax.set_ylim(len(group) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
