"""The study of GEBM as a table, as files, and as one page with the energies of the nodes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from energax.runtime.assess import plain
from energax.runtime.disk import write_atomically
from energax.systems.gebm import cell, listing
from energax.systems.gebm.table import Table as Study

from .canvas import DASHES, GREEN, MARKERS, RED, SERIES, SOFT, Panel, axes, draw
from .chapters import Chapter
from .sheet import write_sheet
from .tables import Cell, Table

TERMS = (
    (
        "Shift",
        "What makes nodes foreign: a class that was left out, a place in the graph, or features that are replaced.",
    ),
    ("AUROC", "The chance that a foreign test node scores higher than a known one; 0.5 is a guess, 1 never errs."),
    ("AUPR", "Precision averaged over recall, foreign nodes to be found; a guess reaches their share."),
    (
        "Mean rank",
        "A method's place by mean AUROC among the methods of a shift, averaged over the shifts; 1 is best. It counts "
        "how often a method wins; the mean counts by how much.",
    ),
    ("Of ten", "The same among the ten scores of the headline, without GPN and DropEdge."),
    ("Error", "Standard error over the splits, each the mean of its initialisations."),
    ("Energy", "High is uncertain: of the node alone, of what its neighbours agree on, and averaged over its cluster."),
    ("No propagation", "The same weights with message passing switched off: every node by itself."),
)
_LEVELS = ("independent", "local", "group")


def heads(study: Study, kind: str = "auroc") -> list[str]:
    """Column heads of a study's table."""
    known = listing.shifts()
    by = "" if kind == "auroc" else " by AUROC"
    ranks = (f"rank{by}", f"of ten{by}")
    return ["method", *ranks, f"mean {kind.upper()}", *(known[name].TITLE for name in study.shifts)]


def rows(study: Study, kind: str = "auroc") -> list[list[str]]:
    """A line a method under `heads`, by rank; ablations of GEBM last, without one."""
    titles, lines = listing.methods(), []
    for name, figures in study.figures.items():
        rank = study.ranks.get(name)
        ten = study.ranks_of_ten.get(name)
        lines.append(
            [
                titles[name].TITLE,
                "" if rank is None else _rank(rank),
                "" if ten is None else f"{ten:.2f}",
                study.means[name][kind].text,
                *(figures[shift][kind].text for shift in study.shifts),
            ]
        )
    return lines


def markdown(study: Study) -> list[str]:
    """Two tables and a curve."""
    lines = [
        f"Accuracy on known test nodes {study.accuracy.text}; {study.splits} split(s), {study.inits} start(s) each.",
        "",
    ]
    if study.figures:
        for kind in ("auroc", "aupr"):
            head = heads(study, kind)
            lines += [f"**{kind.upper()}**", "", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
            lines += [f"| {' | '.join(line)} |" for line in rows(study, kind)] + [""]
    if study.curve:
        who = list(next(iter(study.curve.values())))
        lines += ["**Accuracy when a share of all nodes is noise**", ""]
        lines += [f"| share | {' | '.join(who)} |", f"|{' --- |' * (len(who) + 1)}"]
        lines += [f"| {share} | {' | '.join(each[name].text for name in who)} |" for share, each in study.curve.items()]
        lines += [""]
    return lines


def write_gebm(
    folder: Path, studies: Sequence[Study], found: Sequence[cell.Row], facts: Mapping[str, Any], command: str
) -> dict[str, Path]:
    """Writes gebm.json, gebm.md and report.html into `folder` -> their paths.

    Args:
        folder: Made if it is not there.
        studies: One a graph and backbone; at least one.
        found: The rows that they were made of, for the energies of nodes.
        facts: What else belongs into gebm.json.
        command: What was typed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text: list[str] = []
    for study in studies:
        text += [f"### {_title(study)}", "", *markdown(study)]
    record = {**facts, "studies": [study.as_dict() for study in studies]}
    contents = {
        "gebm.json": json.dumps(plain(record), indent=1).encode(),
        "gebm.md": ("\n".join(text) + "\n").encode(),
    }
    for name, content in contents.items():
        write_atomically(folder / name, [content])
    paths = {name.partition(".")[2]: folder / name for name in contents}
    paths["html"] = write_sheet(
        folder / "report.html",
        "Is the network sure of its nodes?",
        f"{len(studies[0].figures)} scores of the nodes of {', '.join(study.graph for study in studies)}, under "
        f"{len(studies[0].shifts)} shifts.",
        [chapter for study in studies for chapter in _chapters(study, found)],
        brand="energax graph uncertainty report",
        facts=[(_title(study), f"accuracy {study.accuracy.text}") for study in studies],
        commands=[("Run again", command)],
        terms=TERMS,
    )
    return paths


def _chapters(study: Study, found: Sequence[cell.Row]) -> list[Chapter]:
    name = f"{study.graph}-{study.backbone}".replace("_", "-")
    chapters = []
    if study.figures:
        first = next(iter(study.ranks), "")
        best = max(study.ranks, key=lambda n: study.means[n]["auroc"].mean) if study.ranks else ""
        titles = listing.methods()
        lead = (
            f"{titles[first].TITLE} has the best mean rank, {titles[best].TITLE} the best mean AUROC. Both are told, "
            "since a rank says how often and a mean says by how much."
            if first
            else "Variants of GEBM among themselves."
        )
        tables = tuple(_table(study, kind, name) for kind in ("auroc", "aupr"))
        chapters.append(Chapter(f"{name}-table", _title(study), lead, (_means_panel(study, name),), tables))
    if study.curve:
        lead = (
            "A share of all nodes is replaced by noise of a far larger norm; accuracy is read on all test nodes. A "
            "network that averages its neighbours takes the noise in; a node far from the data has no evidence to give."
        )
        chapters.append(Chapter(f"{name}-noise", f"{_title(study)}: noise", lead, (_curve_panel(study, name),)))
    mine = [row for row in found if (row.graph, row.backbone) == (study.graph, study.backbone)]
    nodes = {shift: each for row in mine for shift, each in row.nodes.items()}
    if nodes:
        lead = (
            "Energies of the test nodes of one training; high is uncertain. Where known and foreign lie on each other "
            "the energy cannot tell them apart."
        )
        panels = tuple(panel for shift, each in nodes.items() for panel in _node_panels(shift, each, name))
        chapters.append(Chapter(f"{name}-nodes", f"{_title(study)}: energies of the nodes", lead, panels))
    return chapters


def _table(study: Study, kind: str, name: str) -> Table:
    head, ranked = heads(study, kind), list(study.ranks)
    columns = [[study.means[n][kind].mean] + [study.figures[n][s][kind].mean for s in study.shifts] for n in ranked]
    values = np.array(columns)
    best = values.max(axis=0) if len(values) else np.zeros(0)
    lines = []
    for line, method in zip(rows(study, kind), study.figures, strict=True):
        marks = [False] * len(line)
        if method in ranked:
            marks[3:] = [bool(v) for v in values[ranked.index(method)] >= best]
            marks[1] = method == ranked[0]
        lines.append(tuple(Cell(text, best=mark) for text, mark in zip(line, marks, strict=True)))
    caption = (
        f"{kind.upper()} of foreign against known test nodes, mean and standard error over {study.splits} split(s)"
    )
    return Table(f"{name}-{kind}", caption, tuple(head), tuple(lines))


def _means_panel(study: Study, name: str) -> Panel:
    """AUROC of every method, a marker a shift, and the mean."""
    methods, known = list(study.figures), listing.shifts()
    titles = listing.methods()

    def paint(figure: Figure) -> None:
        ax = axes(figure, "AUROC; right is better, 0.5 is a guess")
        ax.axvline(0.5, color=SOFT, linestyle=DASHES[1], linewidth=1.0)
        places = -np.arange(len(methods))
        for index, shift in enumerate(study.shifts):
            values = [study.figures[m][shift]["auroc"].mean for m in methods]
            colour, marker = SERIES[index % 6], MARKERS[index % len(MARKERS)]
            ax.plot(values, places, marker, color=colour, markersize=4, alpha=0.8, label=known[shift].TITLE)
        means = [study.means[m]["auroc"].mean for m in methods]
        ax.plot(means, places, "|", color="black", markersize=12, markeredgewidth=2, label="mean")
        ax.set_yticks(places, [titles[m].TITLE for m in methods])
        ax.set_ylim(-len(methods) + 0.4, 0.6)
        ax.grid(visible=False, axis="y")
        figure.legend(*ax.get_legend_handles_labels(), loc="outside upper left", ncols=3)

    words = "; ".join(f"{titles[m].TITLE} {study.means[m]['auroc'].mean:.3f}" for m in methods)
    return draw(
        f"{name}-auroc",
        "AUROC of every method on every shift",
        "By rank from above, ablations of GEBM last.",
        f"Mean AUROC: {words}.",
        paint,
        width=5.0,
        height=1.8 + 0.2 * len(methods),
    )


def _curve_panel(study: Study, name: str) -> Panel:
    shares = [float(share) for share in study.curve]
    who = list(next(iter(study.curve.values())))

    def paint(figure: Figure) -> None:
        ax = axes(figure, "share of nodes that are noise", "accuracy, all test nodes")
        for index, each in enumerate(who):
            values = [at[each].mean for at in study.curve.values()]
            errors = np.nan_to_num([at[each].error for at in study.curve.values()])  # of one split there is none
            mark = {"marker": MARKERS[index], "markersize": 4}
            (line, *_) = ax.errorbar(shares, values, yerr=errors, capsize=2, label=each, color=SERIES[index])
            line.set(linestyle=DASHES[index], **mark)
        ax.set_ylim(0.0, 1.0)
        figure.legend(*ax.get_legend_handles_labels(), loc="outside upper left", ncols=2)

    words = "; ".join(f"{each}: " + ", ".join(f"{at[each].mean:.3f}" for at in study.curve.values()) for each in who)
    return draw(f"{name}-noise", "Accuracy under noise", "Bars are standard errors.", words + ".", paint, height=3.0)


def _node_panels(shift: str, nodes: Mapping[str, Sequence[float]], name: str) -> list[Panel]:
    """Nodes by their place with the energy as colour, and histograms of the three energies."""
    title, stem = listing.shifts()[shift].TITLE, f"{name}-{shift}".replace("_", "-")
    foreign = np.array(nodes["foreign"], bool)
    energies = {level: np.array(nodes[level]) for level in _LEVELS}
    medians = ", ".join(
        f"{level} {np.median(values[~foreign]):.3g} known and {np.median(values[foreign]):.3g} foreign"
        for level, values in energies.items()
    )
    return [
        draw(
            f"{stem}-map",
            f"{title}: where the network is unsure",
            "Test nodes by the two main directions of their embeddings; crosses are foreign, yellow is uncertain.",
            f"Scatter of {len(foreign)} test nodes coloured by energy; {int(foreign.sum())} of them are foreign.",
            lambda figure: _map(figure, nodes, foreign, np.sum(list(energies.values()), axis=0)),
        ),
        draw(
            f"{stem}-energies",
            f"{title}: the three energies",
            "Shares of nodes; what lies beyond the frame is counted in its last bins.",
            f"Histograms of the energies; medians: {medians}.",
            lambda figure: _histograms(figure, energies, foreign),
            width=5.6,
        ),
    ]


def _map(figure: Figure, nodes: Mapping[str, Sequence[float]], foreign: np.ndarray, total: np.ndarray) -> None:
    ax = axes(figure)
    ranks = np.argsort(np.argsort(total)) / len(total)
    x, y = np.array(nodes["x"]), np.array(nodes["y"])
    for chosen, marker, size in ((~foreign, "o", 14), (foreign, "x", 18)):
        drawn = ax.scatter(
            x[chosen], y[chosen], c=ranks[chosen], cmap="viridis", vmin=0, vmax=1, marker=marker, s=size, linewidths=0.9
        )
    ax.set_xticks([])
    ax.set_yticks([])
    figure.colorbar(drawn, ax=ax, label="energy, by rank")


def _histograms(figure: Figure, energies: Mapping[str, np.ndarray], foreign: np.ndarray) -> None:
    for place, (level, values) in enumerate(energies.items()):
        ax = figure.add_subplot(1, 3, place + 1)
        low, high = np.percentile(values, [0.5, 95.0])
        edges = np.linspace(low, high if high > low else low + 1.0, 26)
        for chosen, colour, dash, label in ((~foreign, GREEN, "-", "known"), (foreign, RED, DASHES[1], "foreign")):
            counts = np.histogram(np.clip(values[chosen], edges[0], edges[-1]), bins=edges)[0]
            share = counts / max(1, int(chosen.sum()))
            ax.stairs(share, edges, color=colour, linestyle=dash, linewidth=1.4, label=label)
        ax.set_title(level)
        ax.tick_params(labelleft=place == 0)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)


def _title(study: Study) -> str:
    name = "Block model" if study.graph == "csbm" else study.graph.capitalize()
    return f"{name}, {listing.backbones()[study.backbone].TITLE}"


def _rank(rank: Any) -> str:
    return f"{rank.mean:.2f}" + (f" ± {rank.error:.2f}" if np.isfinite(rank.error) else "")
