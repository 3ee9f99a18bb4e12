"""Sphinx settings: furo, MyST, API pages from docstrings; every warning is an error in CI."""

import io
import re
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import math_to_image
from sphinx import addnodes

import energax

project = "energax"
author = "The energax authors"
copyright = "2026, the energax authors"
version = release = energax.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]
default_role = "code"  # docstrings write `name`, as Markdown does

toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    "special-members": "__call__",
    "exclude-members": "__init__, __new__",
}
python_maximum_signature_line_length = 100
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"energax {release}"
html_theme_options = {"sidebar_hide_name": False}
html_static_path: list[str] = []
html_math_renderer = "drawn"
pygments_style = "friendly"

# files at the root that are pages here: links written for readers of the repository lead to those pages
PAGES = {"ARCHITECTURE.md": "architecture.md", "CONTRIBUTING.md": "extend.md", "CHANGELOG.md": "changelog.md"}

_ARRAY = r"~?(?:jax\.)?jaxlib\._jax\.Array"
_BITS = rf"~jaxtyping\.UInt32\[{_ARRAY}, '[24]'\]"
LONG_TYPES = {
    rf"~jaxtyping\.Key\[{_ARRAY}, ''\] \| {_BITS} \| {_BITS}": "Key",
    rf"~jaxtyping\.Shaped\[{_ARRAY}, ''\]": "Scalar",
    _ARRAY: "Array",
    r"(?:~|\b)(?:jaxtyping|typing|collections\.abc)\.": "",
    r"PyTree\[Array\]": "X",
    r"<function (\w+)>": r"\1",
    r"<factory>": "...",
}


def root_links(app: Any, path: Any, parent: str, content: list[str]) -> None:
    """Points links of an included root file at the pages of this site; a link to a plain file keeps its words only."""
    del app, path, parent
    for name, page in PAGES.items():
        content[0] = content[0].replace(f"]({name}", f"](/{page}")
    content[0] = re.sub(r"\[([^\]]+)\]\((?:CITATION\.cff|LICENSE)\)", r"`\1`", content[0])


def example_cells(app: Any, name: str, content: list[str]) -> None:
    """Puts the example scripts on their page: Markdown cells as text, the others as code."""
    if name == "examples":
        for script in sorted((Path(app.srcdir).parent / "examples").glob("*.py")):
            cells = re.split(r"^# %%(.*)\n", script.read_text(), flags=re.MULTILINE)[1:]
            for kind, body in zip(cells[::2], cells[1::2], strict=True):
                text = re.sub(r"^# ?", "", body, flags=re.MULTILINE)
                text = re.sub(r"^#", "##", text, flags=re.MULTILINE)  # a script's title is a section here
                content[0] += f"\n{text}" if "[markdown]" in kind else f"\n```python\n{body.strip()}\n```\n"
            content[0] += f"\nThe script: `examples/{script.name}`\n"


def plain_formulas(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Keeps |x|, *args and x_ of a docstring's formulas from being read as markup; examples stay as they are."""
    del app, what, name, obj, options
    for number, line in enumerate(lines):
        if not re.match(r"\s*(>>>|\.\.\. )", line):
            pieces = re.split(r"(``.*?``|`[^`]*`)", line)
            pieces[::2] = [re.sub(r"\||(?<=\w)_(?=\W|$)", r"\\\g<0>", piece) for piece in pieces[::2]]
            lines[number] = re.sub(r"(`[^`]+`)(?=[a-z])", r"\1\\ ", "".join(pieces))  # `Array`s: code and a letter


def short_types(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Writes Key, Scalar and Float[Array, "chains dim"], as the source does, for what Python makes of them."""
    del app, what, name, obj, options
    return _short(signature), _short(returns)


def _short(text: str | None) -> str | None:
    for long, short in LONG_TYPES.items():
        text = re.sub(long, short, text) if text else text
    return text


def short_fields(app: Any, tree: Any) -> None:
    """The same for the types of fields, which never were a signature."""
    del app
    for node in tree.findall(addnodes.desc_annotation):
        text = node.astext()
        if _short(text) != text:
            node.children = [nodes.Text(_short(text))]


@cache
def drawn(formula: str) -> str:
    """A formula as a picture in the page, in the colour of its text: formulas are seen without a network too."""
    file = io.BytesIO()
    depth = math_to_image(f"${' '.join(formula.split())}$", file, prop=FontProperties(size=100), format="svg")
    svg = file.getvalue().decode()
    width, height = re.findall(r'(?:width|height)="([\d.]+)pt"', svg)[:2]
    body = svg[svg.index('<g id="text_1">') : svg.rindex("</g>")]  # without the white page behind it
    place = f"width:{float(width) / 100:.3f}em;height:{float(height) / 100:.3f}em;vertical-align:{-depth / 100:.3f}em"
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(formula)}" '
        f'style="{place};fill:currentColor">{" ".join(body.split())}</svg>'
    )


def inline_formula(translator: Any, node: Any) -> None:
    """A formula in a line."""
    translator.body.append(drawn(node.astext()))
    raise nodes.SkipNode


def set_apart_formula(translator: Any, node: Any) -> None:
    """A formula on a line of its own."""
    translator.body.append(f'<div style="text-align:center;margin:1em 0">{drawn(node.astext())}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Hooks."""
    app.add_html_math_renderer("drawn", (inline_formula, None), (set_apart_formula, None))
    app.connect("include-read", root_links)
    app.connect("source-read", example_cells)
    app.connect("autodoc-process-signature", short_types)
    app.connect("doctree-read", short_fields)
    app.connect("autodoc-process-docstring", plain_formulas, priority=400)  # before napoleon
