"""A ledger of log Z as a table, as files and as a figure: estimates with their intervals, and the works that cross."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from energax.free_energy import Account, Ledger
from energax.runtime.assess import plain
from energax.runtime.disk import write_atomically

from .canvas import BLUE, DASHES, GREEN, RED, SOFT, draw, finite, png

WIDTH, HEIGHT = 8.6, 3.7  # inches
_HEAD = ("estimator", "log Z", "std error", "sigma off", "ESS", "of", "dissipation", "energies", "gradients", "agrees")


def write_ledger(folder: Path, title: str, found: Ledger, facts: Mapping[str, Any]) -> dict[str, Path]:
    """Writes ledger.json, ledger.svg and ledger.png into `folder` -> their paths.

    Args:
        folder: Made if it is not there; files of an earlier ledger are replaced whole.
        title: What was measured.
        found: The ledger.
        facts: What else belongs into ledger.json (settings, seed).
    """
    folder.mkdir(parents=True, exist_ok=True)

    def paint(figure: Figure) -> None:
        figure.suptitle(title)
        if found.forward_work is None and found.reverse_work is None:
            _estimates(figure.add_subplot(), found)
            return
        left, right = figure.subplots(1, 2, width_ratios=(1.1, 1.0))
        _estimates(left, found)
        _works(right, found)

    alt = f"{title}: estimates of log Z with 95 % intervals, and works of forward and reverse runs crossing at Delta F."
    contents = {
        "ledger.json": json.dumps(plain({"title": title, **facts, **found.as_dict()}), indent=1).encode(),
        "ledger.svg": draw("ledger", title, "", alt, paint, width=WIDTH, height=HEIGHT).content,
        "ledger.png": png(paint, width=WIDTH, height=HEIGHT),
    }
    for name, content in contents.items():
        write_atomically(folder / name, [content])
    return {name.partition(".")[2]: folder / name for name in contents}


def table(found: Ledger) -> list[str]:
    """One line an estimator; `sigma off` is from the exact value where it is known, else from the reference."""
    off = found.deviations() or {each.name: each.z for each in found.accounts if not each.weak}
    cells = [list(_HEAD)] + [_line(found, each, off.get(each.name)) for each in found.accounts]
    widths = [max(len(line[i]) for line in cells) for i in range(len(_HEAD))]
    return ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in cells]


def _line(found: Ledger, each: Account, off: float | None) -> list[str]:
    return [
        each.name,
        f"{each.log_z:.4f}",
        f"{each.std_error:.4f}",
        "" if off is None else f"{off:+.1f}",
        "" if each.ess is None else f"{each.ess:,.0f}",
        f"{each.samples:,}",
        "" if each.dissipation is None else f"{each.dissipation:.2f}",
        _count(each.energies, each.bounded),
        _count(each.gradients, each.bounded),
        _agrees(found, each),
    ]


def _count(number: int, bounded: bool) -> str:
    return f"{number:,}" if bounded else f">= {number:,}"


def _agrees(found: Ledger, each: Account) -> str:
    if each.weak:
        return "not judged"
    if each.name == found.reference:
        return "reference"
    return "yes" if abs(each.z) <= found.threshold else "NO"


def _estimates(ax: Axes, found: Ledger) -> None:
    """A row an estimator, its 95 % interval; those that are not judged do not stretch the axis."""
    names = [each.name for each in found.accounts]
    low, high = _span(found)
    ax.set_xlim(low, high)
    if found.exact is not None:
        ax.axvline(found.exact, color=GREEN, linestyle=DASHES[1], linewidth=1.2, label="exact", zorder=1)
    for row, each in enumerate(found.accounts):
        color = SOFT if each.weak else BLUE if _agrees(found, each) != "NO" else RED
        if not math.isfinite(each.log_z) or not low <= each.log_z <= high:
            right = math.isfinite(each.log_z) and each.log_z > high
            ax.plot(high if right else low, row, ">" if right else "<", color=color, clip_on=False, markersize=5)
            continue
        reach = [[each.log_z - max(each.low, low)], [min(each.high, high) - each.log_z]]
        face = "none" if each.weak else color
        ax.errorbar(
            each.log_z, row, xerr=reach, fmt="o", markersize=4.5, color=color, markerfacecolor=face, capsize=2, zorder=2
        )
    ax.set_yticks(range(len(names)), [f"{name}*" if name == found.reference else name for name in names])
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set_xlabel("log Z (nats), 95 % interval; * reference")
    if found.exact is not None:
        ax.legend(loc="best", fontsize=8)


def _span(found: Ledger) -> tuple[float, float]:
    """The part of the axis that holds the intervals of all estimates that are judged, and the exact value."""
    judged = [each for each in found.accounts if not each.weak] or list(found.accounts)
    ends = [value for each in judged for value in (each.low, each.high, each.log_z) if math.isfinite(value)]
    ends += [] if found.exact is None else [found.exact]
    low, high = (min(ends), max(ends)) if ends else (-1.0, 1.0)
    pad = 0.06 * (high - low) or 1e-3
    return low - pad, high + pad


def _works(ax: Axes, found: Ledger) -> None:
    """Densities of the forward work and of minus the reverse work: they cross at Delta F."""
    sides = [
        (found.forward_work, 1.0, BLUE, "forward work W"),
        (found.reverse_work, -1.0, RED, "minus the reverse work"),
    ]
    drawn = [(sign * finite(work), color, name) for work, sign, color, name in sides if work is not None]
    drawn = [side for side in drawn if side[0].size]
    delta_f = -(found[found.reference].log_z if found.exact is None else found.exact)
    if drawn:
        ends = np.array([_body(work) for work, _, _ in drawn])
        low, high = min(delta_f, ends[:, 0].min()), max(delta_f, ends[:, 1].max())
        pad = 0.05 * (high - low) or 1e-3
        edges = np.linspace(low - pad, high + pad, _bins(ends, high - low))
        for work, color, name in drawn:
            density = np.histogram(work, edges)[0] / (work.size * np.diff(edges))
            ax.stairs(density, edges, fill=True, color=color, alpha=0.25)
            ax.stairs(density, edges, color=color, linewidth=1.4, label=name)
        total = sum(work.size for work, _, _ in drawn)
        outside = sum(int(np.sum((work < edges[0]) | (work > edges[-1]))) for work, _, _ in drawn)
        if outside:
            ax.set_title(f"{outside:,} of {total:,} works lie outside", fontsize=8, fontweight="normal", loc="right")
    ax.axvline(
        delta_f,
        color=GREEN,
        linestyle=DASHES[1],
        linewidth=1.2,
        label="exact ΔF" if found.exact is not None else "ΔF of the reference",
    )
    ax.set_xlabel("work (nats)")
    ax.set_ylabel("density (1 / nat)")
    ax.legend(loc="best", fontsize=8)


def _body(work: np.ndarray) -> tuple[float, float]:
    """Where the works are, but for far tails of a few."""
    least, low, high, most = np.quantile(work, (0.0, 0.1, 0.9, 1.0))
    reach = 1.5 * (high - low)
    return max(float(least), float(low - reach)), min(float(most), float(high + reach))


def _bins(ends: np.ndarray, width: float) -> int:
    """Edges that give the narrower histogram some twenty bars, and the whole axis no more than eighty."""
    spread = float(np.min(ends[:, 1] - ends[:, 0]))
    return int(np.clip(20 * width / spread if spread > 0 else 30, 16, 80))
