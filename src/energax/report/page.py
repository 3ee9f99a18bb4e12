"""One self-contained HTML page a run: gathers, judges, draws, writes figures/ and report.html."""

import base64
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from . import opening
from .canvas import Panel, inline_svg
from .chains import chain_panels
from .energies import histogram_panels, likelihood_panel, log_z_panel, ood_panel
from .gather import RunFolder, gather, section
from .glossary import TERMS
from .judgement import LEVELS
from .landscape import is_planar, landscape_panels
from .samples import class_panel, sample_panels
from .tables import (
    Table,
    alarms_table,
    chain_tables,
    density_table,
    likelihood_table,
    log_z_table,
    metrics_table,
    ood_tables,
    quality_table,
)
from .training import training_panels
from .verdict import overall, verdicts


@dataclass(frozen=True)
class Section:
    """One part of the page: a heading, what to know before looking, figures, tables, and what is missing in words."""

    name: str
    title: str
    lead: str
    panels: tuple[Panel, ...] = ()
    tables: tuple[Table, ...] = ()
    absent: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())


def write_report(run_folder: Path) -> Path:
    """Writes figures/*.svg, figures/*.png and report.html into a run folder.

    Args:
        run_folder: The folder of one run; every file in it is optional, and what is missing is said on the page.

    Returns:
        The path of report.html.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    run = gather(Path(run_folder))
    sections = _sections(run)
    figures = run.path / "figures"
    figures.mkdir(exist_ok=True)
    for part in sections:
        for panel in part.panels:
            _write(figures / f"{panel.name}.{panel.suffix}", panel.content)
    target = run.path / "report.html"
    _write(target, render(run, sections).encode("utf-8"))
    return target


def render(run: RunFolder, sections: list[Section] | None = None) -> str:
    """The page as text.

    Args:
        run: What `gather` found.
        sections: The parts between verdict and config; drawn here when not given.
    """
    lines = verdicts(run.evaluation, run.info, run.metrics, run.alarms)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("energax.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        title=opening.title(run),
        subtitle=opening.subtitle(run),
        description=opening.description(run),
        facts=opening.facts(run),
        tiles=opening.tiles(run),
        overall=overall(lines),
        verdicts=sorted(lines, key=lambda line: -LEVELS.index(line.level)),  # what is wrong comes first
        words=_WORDS,
        sections=_sections(run) if sections is None else sections,
        missing=run.missing,
        config=run.config_text,
        commands=opening.commands(run),
        versions=opening.versions(run),
        terms=TERMS,
        picture=_picture,
    )


_WORDS = {"ok": "OK", "warn": "Warning", "bad": "Bad", "unknown": "Not measured"}


def _sections(run: RunFolder) -> list[Section]:
    evaluation = run.evaluation
    parts = [
        _section(
            "training",
            "Training",
            "The energy gap comes first: it is the signal that training balances. The loss is no progress signal and "
            "stands last. Lines are means over the logged steps, shades their range.",
            [lambda: training_panels(run.metrics)],
            [lambda: [alarms_table(run.alarms), metrics_table(run.metrics)]],
            "No training metrics were logged.",
        ),
        _section(
            "samples",
            "Samples beside data",
            "Figures can be good and samples poor, or the reverse: look at both.",
            [lambda: sample_panels(run)],
            [],
            "No samples are stored in this run folder.",
        ),
        _section(
            "energies",
            "Energies",
            "What the model says of data it was trained on, of data it never saw, of its own samples, and of "
            "outsiders.",
            [lambda: histogram_panels(run)],
            [],
            "No energies are stored in this run folder.",
        ),
        _section(
            "likelihood",
            "log Z and likelihood",
            "A likelihood needs log Z, which can only be estimated. Believe it when two routes agree, when a longer "
            "run does not move it, and when enough chains carry the weight.",
            [lambda: [log_z_panel(evaluation)], lambda: [likelihood_panel(evaluation)]],
            [lambda: [log_z_table(evaluation)], lambda: [likelihood_table(evaluation)]],
            "Neither log Z nor a likelihood was estimated.",
            _remarks(evaluation),
        ),
        _section(
            "outsiders",
            "Out-of-distribution data",
            "How well −energy tells outsiders from held-out data, beside baselines on the same data. Uniform noise "
            "and shuffled pixels are easy for everybody; the hard sets are what counts. The best of each row is "
            "bold, also when it is a baseline.",
            [lambda: [ood_panel(evaluation)]],
            [lambda: ood_tables(evaluation)],
            "No outside sets were scored.",
        ),
        _section(
            "quality",
            "Sample quality",
            "Each distance is read beside its floor: what real training data score against real held-out data.",
            [lambda: [class_panel(evaluation)]],
            [lambda: [quality_table(evaluation)]],
            "No distance between samples and data was measured.",
        ),
        _section(
            "chains",
            "Chains",
            "Whether the chains that drew the samples have forgotten where they started and agree with each other.",
            [lambda: chain_panels(run)],
            [lambda: chain_tables(evaluation)],
            "No chain diagnostics are stored in this run folder.",
        ),
    ]
    if is_planar(run):
        plane = _section(
            "plane",
            "The plane",
            "In two dimensions everything can be computed on a grid, so the model is held against the truth itself.",
            [lambda: landscape_panels(run)],
            [lambda: [density_table(evaluation)]],
            "No grid is stored in this run folder.",
        )
        parts.insert(len(parts) - 1, plane)
    return parts


def _section(
    name: str,
    title: str,
    lead: str,
    figures: Iterable[Callable[[], Iterable[Panel | None]]],
    tables: Iterable[Callable[[], Iterable[Table | None]]],
    empty: str,
    notes: tuple[str, ...] = (),
) -> Section:
    """One part of the page. What cannot be drawn is named with its reason: one bad array never costs the page."""
    absent: list[str] = []
    panels = _attempt(figures, f"A figure of “{title}”", absent)
    filled = _attempt(tables, f"A table of “{title}”", absent)
    if not panels and not filled and not absent:
        absent.append(empty)
    return Section(name, title, lead, tuple(panels), tuple(filled), tuple(absent), notes)


def _remarks(evaluation: Mapping[str, Any]) -> tuple[str, ...]:
    """What the estimators themselves said against their numbers."""
    said = section(evaluation, "log_z").get("remarks")
    return tuple(remark for remark in said if isinstance(remark, str)) if isinstance(said, list) else ()


def _attempt(makers: Iterable[Callable[[], Iterable[Any]]], what: str, absent: list[str]) -> list[Any]:
    made: list[Any] = []
    for maker in makers:
        try:
            made += [item for item in maker() if item is not None]
        except Exception as error:  # the stored numbers are not ours; the page says what went wrong and goes on
            reason = str(error).splitlines()[0][:200] if str(error) else ""
            absent.append(f"{what} could not be made from the stored numbers ({type(error).__name__}: {reason}).")
    return made


def _picture(panel: Panel) -> Markup:
    if panel.suffix == "svg":
        return Markup(inline_svg(panel))  # our own drawing; its labels were escaped by matplotlib, its alt text by us
    return Markup('<img class="pixels" src="data:image/png;base64,{}" width="{}" height="{}" alt="{}">').format(
        _base64(panel.content), panel.width, panel.height, panel.alt
    )


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: a temporary file in the same folder, then a rename."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
