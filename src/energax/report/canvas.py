"""The drawing board: one small figure as deterministic SVG or PNG, in one palette, without pyplot's global state.

A report's figures are small panels (4 by 2.6 inches) that the page lays side by side on a wide screen and below each
other on a phone, so that their text stays readable at 390 pixels. Their inks are named: in the page each hex colour of
the palette becomes a CSS variable, which turns the figures dark with the page; the files on disk keep plain colours.
"""

import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

# Wong (2011), doi:10.1038/nmeth.1618: a palette that survives the common colour blindnesses; yellow left out.
BLUE, RED, GREEN, PURPLE, ORANGE, SKY = "#0072b2", "#d55e00", "#009e73", "#b8649a", "#c98a00", "#4f9fd4"
INK, SOFT, GRID, PAPER = "#20262e", "#68717d", "#dfe3e8", "#fffffe"
SERIES = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY, SOFT)
DASHES = ("-", (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (5, 1.4, 1.2, 1.4)), (0, (8, 2)), (0, (2.5, 1)), "-")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
_NAMES = {
    BLUE: "blue",
    RED: "red",
    GREEN: "green",
    PURPLE: "purple",
    ORANGE: "orange",
    SKY: "sky",
    INK: "ink",
    SOFT: "soft",
    GRID: "grid",
    PAPER: "paper",
}
_RC = {
    "svg.fonttype": "none",
    "svg.hashsalt": "energax",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.limits": (-4, 5),
    "axes.formatter.use_mathtext": False,
    "axes.formatter.useoffset": False,
    "axes.unicode_minus": True,
    "axes.xmargin": 0.02,
    "figure.facecolor": PAPER,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "legend.handlelength": 2.0,
    "legend.borderaxespad": 0.2,
    "legend.columnspacing": 1.3,
    "legend.handletextpad": 0.5,
    "savefig.dpi": 180,
    "image.interpolation": "nearest",
}
WIDTH, HEIGHT = 4.0, 2.6  # inches: 384 by 250 CSS pixels


@dataclass(frozen=True)
class Panel:
    """One figure of the page.

    Attributes:
        name: File stem under figures/, and its anchor.
        title: A short heading.
        caption: What it shows and how to read it.
        alt: The words for one who cannot see it.
        suffix: "svg" or "png".
        content: The file's bytes.
        width: Natural width in CSS pixels.
        height: Natural height in CSS pixels.
        wide: Whether it takes the whole width of the page.
    """

    name: str
    title: str
    caption: str
    alt: str
    suffix: str
    content: bytes
    width: int
    height: int
    wide: bool = False


def draw(
    name: str,
    title: str,
    caption: str,
    alt: str,
    paint: Callable[[Figure], None],
    *,
    width: float = WIDTH,
    height: float = HEIGHT,
    wide: bool = False,
) -> Panel:
    """Runs `paint` on a fresh figure of `width` by `height` inches and returns it as an SVG panel.

    Args:
        name: File stem, of letters, digits and dashes.
        title: A short heading, set by the page, not in the picture.
        caption: What it shows and how to read it.
        alt: The words for one who cannot see it.
        paint: Draws on the figure.
        width: Inches.
        height: Inches.
        wide: Whether the page gives it the whole width.
    """
    content = _rendered(paint, width, height, "svg", metadata={"Date": None, "Creator": None})
    return Panel(name, title, caption, alt, "svg", content, round(96 * width), round(96 * height), wide)


def png(paint: Callable[[Figure], None], *, width: float = WIDTH, height: float = HEIGHT) -> bytes:
    """The same picture as pixels, for a folder that somebody opens without a browser.

    Args:
        paint: Draws on the figure, as in `draw`.
        width: Inches.
        height: Inches.
    """
    return _rendered(paint, width, height, "png", metadata={"Software": None})


def _rendered(paint: Callable[[Figure], None], width: float, height: float, suffix: str, metadata: dict) -> bytes:
    with mpl.rc_context(_style()):
        figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03))
        with warnings.catch_warnings():
            # A label in a script that the metrics font lacks is still set by the browser's own fonts.
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
            paint(figure)
            buffer = io.BytesIO()
            figure.savefig(buffer, format=suffix, metadata=metadata)
    return buffer.getvalue()


def axes(figure: Figure, xlabel: str = "", ylabel: str = "") -> Axes:
    """One pair of axes with labels that carry their units."""
    ax = figure.add_subplot()
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    return ax


def steps_axis(ax: Axes) -> None:
    """Training steps along x, at most five labels, thousands with commas."""
    ax.set_xlabel("training step")
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def thousands(ax: Axes) -> None:
    """Commas in the numbers along y."""
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}".replace("-", "−")))


def log_axis(ax: Axes, which: str = "y") -> None:
    """A logarithmic axis, "x" or "y", with plain numbers: 0.01, 0.1, 1, 10, 1e+05; after all has been drawn on it."""
    ax.set(**{f"{which}scale": "log"})
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
    low, high = sorted(axis.get_view_interval())
    if high / low < 30:  # less than one and a half decades: label more than the powers of ten
        axis.set_major_locator(LogLocator(subs=tuple(range(1, 10)) if high / low < 3 else (1.0, 2.0, 5.0)))


def legend_above(figure: Figure, ax: Axes, columns: int = 3) -> None:
    """A legend above the axes, over the whole width of the figure, where it hides no data."""
    handles, names = ax.get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside upper left", ncols=min(columns, len(handles)))


def short(text: Any, most: int = 26) -> str:
    """`text` on one line of at most `most` characters, control characters removed.

    Example:
        >>> short("a name that is far too long for an axis", 12)
        'a name that…'
    """
    line = "".join(c if c.isprintable() else " " for c in str(text))
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def finite(values: np.ndarray) -> np.ndarray:
    """The finite entries of `values`, flat."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    return flat[np.isfinite(flat)]


def left_out(values: Sequence[np.ndarray] | np.ndarray) -> str:
    """A sentence that says how many of the values are not finite and so not drawn; empty where all are finite."""
    parts = values if isinstance(values, Sequence) else [values]
    total = sum(np.asarray(v).size for v in parts)
    bad = total - sum(finite(np.asarray(v)).size for v in parts)
    return f" {bad:,} of {total:,} values are not finite and are left out." if bad else ""


def inline_svg(panel: Panel) -> str:
    """The panel's SVG as an element of an HTML page: no prolog, ids of its own, inks as CSS variables."""
    text = panel.content.decode("utf-8")
    text = text[text.index("<svg") :]
    # The style sheet inside would reach the whole page; the page's own sheet says the same for `.plot`.
    text = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<defs>\s*</defs>", "", text, flags=re.S)
    head, body = text.split(">", 1)
    body = re.sub(r"<[^>]*>", lambda tag: _own(panel.name, tag[0]), body)  # tags only: labels stay as they are
    box = re.search(r'viewBox="[^"]+"', head)
    opening = f'<svg class="plot" {box[0] if box else ""} width="{panel.width}" height="{panel.height}" role="img"'
    return f'{opening} aria-label="{_attribute(panel.alt)}">{body}'


def _own(name: str, tag: str) -> str:
    """One tag with the page's inks and font, and with ids that no other figure of the page has."""
    tag = re.sub(r'(\sid=")', rf"\1{name}--", tag)
    tag = re.sub(r'(href="#|url\(#)', rf"\1{name}--", tag)
    tag = re.sub(r"#[0-9a-f]{6}\b", lambda m: f"var(--{_NAMES[m[0]]}, {m[0]})" if m[0] in _NAMES else m[0], tag)
    return re.sub(r"font: ?(?:[a-z]+ )?([\d.]+px) [^;\"]*", r"font-size: \1", tag)


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")


def _style() -> Any:
    """Our settings over the defaults, so that a user's matplotlibrc changes no report; the backend is left alone."""
    skip = ("backend", "interactive", "toolbar", "tk.", "webagg.", "docstring.", "savefig.directory", "timezone")
    return {**{key: value for key, value in mpl.rcParamsDefault.items() if not key.startswith(skip)}, **_RC}
