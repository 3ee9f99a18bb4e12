"""One self-contained HTML page about anything that is no run: chapters of figures and tables, commands, words.

As the page of a run, it needs no network, no script and no font of its own.
"""

from collections.abc import Sequence
from pathlib import Path

from energax.runtime.disk import write_atomically

from .chapters import Chapter
from .page import picture, template


def write_sheet(
    path: Path,
    title: str,
    subtitle: str,
    chapters: Sequence[Chapter],
    *,
    brand: str,
    facts: Sequence[tuple[str, str]] = (),
    commands: Sequence[tuple[str, str]] = (),
    terms: Sequence[tuple[str, str]] = (),
) -> Path:
    """Writes the page whole -> its path.

    Args:
        path: The .html file; its folder exists.
        title: Its heading.
        subtitle: One sentence below it.
        chapters: Its parts, in reading order.
        brand: What kind of page it is, above the title.
        facts: (name, value), in a row below the subtitle.
        commands: (what it does, command line) to make it again.
        terms: (word, what it means).
    """
    text = template("sheet.html.j2").render(
        title=title,
        subtitle=subtitle,
        brand=brand,
        facts=facts,
        chapters=chapters,
        commands=commands,
        terms=terms,
        picture=picture,
    )
    write_atomically(path, [text.encode("utf-8")])
    return path
