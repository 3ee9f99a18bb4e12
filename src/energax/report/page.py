"""One self-contained HTML page a run: gathers, judges, draws, writes figures/ and report.html.

The page needs no network, no script and no font of its own: figures are inline SVG or data: URIs, and a content policy
in its head forbids the rest.
"""

import base64
from pathlib import Path

import jinja2
from markupsafe import Markup

from energax.runtime.disk import write_atomically

from . import opening
from .canvas import Panel, inline_svg
from .chapters import Chapter, chapters
from .gather import RunFolder, gather
from .glossary import TERMS
from .judgement import LEVELS
from .verdict import overall, verdicts

_WORDS = {"ok": "OK", "warn": "Warning", "bad": "Bad", "unknown": "Not measured"}


def write_report(run_folder: Path) -> Path:
    """Writes figures/*.svg, figures/*.png and report.html into a run folder.

    Args:
        run_folder: The folder of one run; every file in it is optional, and what is missing is said on the page.

    Returns:
        The path of report.html.

    Raises:
        FileNotFoundError: There is no such folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_report(Path(folder)).name
        'report.html'
    """
    run = gather(Path(run_folder))
    parts = chapters(run)
    figures = run.path / "figures"
    figures.mkdir(exist_ok=True)
    for part in parts:
        for panel in part.panels:
            write_atomically(figures / f"{panel.name}.{panel.suffix}", [panel.content])
    target = run.path / "report.html"
    write_atomically(target, [render(run, parts).encode("utf-8")])
    return target


def render(run: RunFolder, parts: list[Chapter]) -> str:
    """The page as text.

    Args:
        run: What `gather` found.
        parts: What `chapters` drew of it.
    """
    lines = verdicts(run.evaluation, run.info, run.metrics, run.alarms)
    return template("page.html.j2").render(
        title=opening.title(run),
        subtitle=opening.subtitle(run),
        description=opening.description(run),
        facts=opening.facts(run),
        tiles=opening.tiles(run),
        overall=overall(lines),
        verdicts=sorted(lines, key=lambda line: -LEVELS.index(line.level)),  # what is wrong comes first
        words=_WORDS,
        chapters=parts,
        missing=run.missing,
        config=run.config_text,
        commands=opening.commands(run),
        versions=opening.versions(run),
        terms=TERMS,
        picture=picture,
    )


def template(name: str) -> jinja2.Template:
    """A page without its contents."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("energax.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def picture(panel: Panel) -> Markup:
    """A panel as an element of a page."""
    if panel.suffix == "svg":
        return Markup(inline_svg(panel))  # our own drawing; its labels were escaped by matplotlib, its alt text by us
    source = base64.b64encode(panel.content).decode("ascii")
    return Markup('<img class="pixels" src="data:image/png;base64,{}" width="{}" height="{}" alt="{}">').format(
        source, panel.width, panel.height, panel.alt
    )
