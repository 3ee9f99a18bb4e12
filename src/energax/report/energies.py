"""Energies, the bracket on log Z, likelihood beside baselines, and the recognition of outsiders."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .canvas import (
    BLUE,
    DASHES,
    GREEN,
    MARKERS,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    SOFT,
    Panel,
    axes,
    draw,
    finite,
    left_out,
    legend_above,
    short,
)
from .gather import RunFolder, number, section
from .judgement import aurocs, label, nats, say

_OOD = "energy_ood__"
_MOST_SETS = 12


def histogram_panels(run: RunFolder) -> list[Panel]:
    """Energy histograms: data, held-out data and samples in one figure, each outside set beside the held-out data."""
    arrays = run.arrays
    kinds = {"training data": "energy_train", "held-out data": "energy_test", "samples": "energy_samples"}
    known = {kind: arrays[name] for kind, name in kinds.items() if name in arrays and finite(arrays[name]).size}
    panels = []
    if known:
        panels.append(_histogram("energies", "Data, held-out data and samples", known, (BLUE, GREEN, RED), _SAME))
    held = known.get("held-out data", known.get("training data"))
    if held is None:
        return panels
    kind = "held-out data" if "held-out data" in known else "training data"
    outside = sorted(name for name in arrays if name.startswith(_OOD) and finite(arrays[name]).size)
    for index, name in enumerate(outside[:_MOST_SETS]):
        title = short(name.removeprefix(_OOD))
        panels.append(
            _histogram(
                f"energies-ood-{index + 1}",
                f"Outsiders: {title}",
                {kind: held, title: arrays[name]},
                (GREEN, PURPLE),
                _APART,
            )
        )
    return panels


_SAME = (
    "Low energy is likely. The three should lie on each other: samples to the left of the data mean that the chains "
    "found deeper wells than the data's, held-out to the right of training means memorising."
)
_APART = (
    "Outsiders should lie to the right, at higher energy; where the two overlap, the energy cannot tell them apart."
)


def _histogram(name: str, title: str, sets: Mapping[str, np.ndarray], colours: tuple[str, ...], caption: str) -> Panel:
    values = {kind: finite(array) for kind, array in sets.items()}
    everything = np.concatenate(list(values.values()))
    low, high = (float(v) for v in np.percentile(everything, [0.2, 99.5]))
    edges = np.linspace(low, high if high > low else low + 1.0, 45)
    beyond = sum(int(((v < edges[0]) | (v > edges[-1])).sum()) for v in values.values())
    note = f" {beyond:,} values lie beyond the frame." if beyond else ""

    def paint(figure: Figure) -> None:
        ax = axes(figure, "energy (nats, up to a constant)", "density (per nat)")
        for (kind, array), colour, dash in zip(values.items(), colours, DASHES, strict=False):
            shape, _ = np.histogram(array, bins=edges)
            density = shape / (array.size * np.diff(edges))
            ax.stairs(density, edges, fill=True, color=colour, alpha=0.16, linewidth=0)
            ax.stairs(density, edges, color=colour, linestyle=dash, linewidth=1.5, label=kind)
        ax.yaxis.set_major_locator(MaxNLocator(5))
        legend_above(figure, ax)

    alt = (
        "Energy histograms; medians " + ", ".join(f"{kind} {np.median(v):.4g}" for kind, v in values.items()) + " nats."
    )
    return draw(name, title, caption + note + left_out(list(sets.values())), alt, paint)


def log_z_panel(evaluation: Mapping[str, Any]) -> Panel | None:
    """Every annealed run with two standard errors on either side, the bracket shaded, the exact value dashed."""
    log_z = section(evaluation, "log_z")
    runs = []
    for route, colour, marker in (("forward", BLUE, ">"), ("reverse", RED, "<")):
        listed = log_z.get(route)
        for run in listed if isinstance(listed, list) else []:
            estimate = number(run.get("estimate")) if isinstance(run, Mapping) else None
            if estimate is not None and np.isfinite(estimate):
                words = f"{route} {say(number(run.get('num_temperatures')), 9)}"
                runs.append((words, estimate, number(run.get("se")) or 0.0, colour, marker))
    if not runs:
        return None
    bracket = log_z.get("bracket")
    ends = [number(v) for v in bracket] if isinstance(bracket, list) and len(bracket) == 2 else [None, None]
    exact = number(log_z.get("exact"))

    def paint(figure: Figure) -> None:
        ax = axes(figure, "log Z (nats)")
        if ends[0] is not None and ends[1] is not None:
            ax.axvspan(
                min(ends[0], ends[1]), max(ends[0], ends[1]), color=GREEN, alpha=0.15, linewidth=0, label="bracket"
            )
        if exact is not None:
            ax.axvline(exact, color=SOFT, linestyle=DASHES[1], linewidth=1.2, label="exact")
        for place, (_, estimate, error, colour, marker) in enumerate(runs):
            ax.errorbar(
                estimate, -place, xerr=2 * error, color=colour, marker=marker, markersize=6, capsize=3, linewidth=1.4
            )
        ax.set_yticks([-i for i in range(len(runs))], [words for words, *_ in runs])
        ax.set_ylim(-len(runs) + 0.4, 0.6)
        ax.grid(axis="y", visible=False)
        ax.margins(x=0.08)
        ax.xaxis.set_major_locator(MaxNLocator(5))
        legend_above(figure, ax)

    return draw(
        "log-z",
        "Two routes to log Z",
        "Each annealed run by its number of temperatures, with two standard errors on either side. Forward runs tend "
        "to lie low, reverse runs high; the truth is likely between them when they agree.",
        "Estimates of log Z: "
        + "; ".join(f"{words} temperatures {value:.5g} ± {error:.2g}" for words, value, error, *_ in runs)
        + ".",
        paint,
        height=max(1.9, 0.9 + 0.36 * len(runs)),
    )


def likelihood_panel(evaluation: Mapping[str, Any]) -> Panel | None:
    """Held-out negative log-likelihood of the model beside its baselines, best on top."""
    likelihood = section(evaluation, "likelihood")
    bars = {
        name: number(section(likelihood, "baselines", name).get("nll_test"))
        for name in section(likelihood, "baselines")
    }
    ours = number(likelihood.get("nll_test"))
    scores = {
        name: value for name, value in {"this model": ours, **bars}.items() if value is not None and np.isfinite(value)
    }
    if len(scores) < 2:
        return None
    ordered = sorted(scores, key=lambda name: scores[name])
    error = 2 * (number(likelihood.get("nll_test_se")) or 0.0)
    units = short(likelihood.get("units") or "nats")

    def paint(figure: Figure) -> None:
        ax = axes(figure, f"held-out NLL ({units}); left is better")
        for place, name in enumerate(ordered):
            mine = name == "this model"
            if mine and error:
                ax.errorbar(scores[name], -place, xerr=error, color=RED, capsize=3, linewidth=1.4)
            ax.plot(scores[name], -place, marker="D" if mine else "o", markersize=7, color=RED if mine else SOFT)
            ax.annotate(
                nats(scores[name]),
                (scores[name], -place),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=8.5,
            )
        ax.set_yticks([-i for i in range(len(ordered))], [short(label(name), 16) for name in ordered])
        ax.set_ylim(-len(ordered) + 0.4, 0.7)
        ax.margins(x=0.12)
        ax.xaxis.set_major_locator(MaxNLocator(5))

    return draw(
        "likelihood",
        "Likelihood beside baselines",
        "Negative log-likelihood of held-out data, best on top; the bar is two standard errors. Baselines are fitted "
        "on the same training data.",
        "Held-out NLL: " + "; ".join(f"{name} {scores[name]:.4g}" for name in ordered) + f" {units}.",
        paint,
        height=max(1.8, 0.8 + 0.4 * len(ordered)),
    )


def ood_panel(evaluation: Mapping[str, Any]) -> Panel | None:
    """AUROC of every score on every outside set: one row a set, one mark a score."""
    ood = section(evaluation, "ood")
    table = {name: row for name, row in list(aurocs(ood).items())[:_MOST_SETS] if row}
    if not table:
        return None
    scores = list(dict.fromkeys(s for row in table.values() for s in row))
    colours = (RED, SKY, GREEN, PURPLE, ORANGE, BLUE, SOFT)

    def paint(figure: Figure) -> None:
        ax = axes(figure, "AUROC; right is better, 0.5 is chance")
        ax.axvline(0.5, color=SOFT, linestyle=DASHES[1], linewidth=1.0)
        for index, score in enumerate(scores):
            shift = 0.13 * (index - (len(scores) - 1) / 2)
            at = [(row[score], -place - shift) for place, row in enumerate(table.values()) if score in row]
            ax.plot(
                *zip(*at, strict=True),
                linestyle="none",
                marker=MARKERS[index % len(MARKERS)],
                color=colours[index % len(colours)],
                markersize=6.5 if score == "energy" else 5,
                label=short(label(score), 14),
            )
        ax.set_yticks([-i for i in range(len(table))], [short(name, 18) for name in table])
        ax.set_ylim(-len(table) + 0.4, 0.6)
        ax.set_xlim(min(0.45, *(v for row in table.values() for v in row.values())) - 0.03, 1.03)
        legend_above(figure, ax, 4)

    return draw(
        "ood",
        "Who is recognised as an outsider",
        "Chance that an outsider gets a worse score than a held-out item. Sets on which every score is 1 prove "
        "nothing.",
        "AUROC: "
        + "; ".join(f"{name}: " + ", ".join(f"{s} {v:.3f}" for s, v in row.items()) for name, row in table.items())
        + ".",
        paint,
        height=max(2.0, 1.0 + 0.42 * len(table)),
    )
