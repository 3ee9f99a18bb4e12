"""Panels of a machine's modes: draws along two singular vectors, the occupancy of minima, the ladder's swaps."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from energax.evaluation.rbm_tempering import RBMSweep, minimum_names
from energax.evaluation.temperature_sweep import SweepRow

from .canvas import BLUE, GREEN, RED


def paint_projections(ax: Axes, sweep: RBMSweep, beta: float) -> None:
    """Where the draws at the coldest temperature are along the first two singular vectors; areas are shares."""
    along = sweep.projections
    if along.shape[1] < 2:
        along = np.column_stack([along, np.zeros(len(along))])
    places, counts = np.unique(np.round(along, 2), axis=0, return_counts=True)
    ax.scatter(
        places[:, 0], places[:, 1], s=np.maximum(900.0 * counts / len(along), 0.3), color=BLUE, alpha=0.6, linewidths=0
    )
    ax.set_xlabel("(2v − 1) · u₁ / √visible")
    ax.set_ylabel("(2v − 1) · u₂ / √visible")
    ax.set_title(f"draws at beta = {beta:g}", fontsize=9)
    ax.margins(0.12)


def paint_occupancies(ax: Axes, sweep: RBMSweep, row: SweepRow) -> None:
    """How often draws descend to each minimum of the free energy, beside the exact shares."""
    assert sweep.minima is not None
    names = minimum_names(sweep.minima)
    found = [row.observables[name] for name in names]
    ticks = np.arange(1, len(names) + 1)
    errors = [each.std_error if np.isfinite(each.std_error) else 0.0 for each in found]
    ax.bar(ticks, [each.value for each in found], 0.7, color=BLUE, alpha=0.35)
    ax.errorbar(ticks, [each.value for each in found], errors, fmt="o", markersize=3, color=BLUE, label="estimate")
    if names[0] in row.exact:
        known = [row.exact[name].value for name in names]
        ax.plot(ticks, known, "_", color=GREEN, markersize=11, markeredgewidth=2, label="exact, this machine")
    ax.set_xlabel("minimum of the free energy, lowest first" + ("; last: all others" if "other" in names[-1] else ""))
    ax.set_ylabel("share of draws")
    ax.set_title(f"occupancy at beta = {row.beta:g}", fontsize=9)
    ax.set_ylim(0.0)
    ax.legend(loc="lower right", fontsize=8)


def paint_swaps(ax: Axes, betas: Sequence[float] | np.ndarray, accepted: Sequence[float] | np.ndarray) -> None:
    """How many swaps each gap of the ladder lets through."""
    ax.stairs(np.asarray(accepted)[::-1], np.asarray(betas)[::-1], color=RED, baseline=None, linewidth=1.6)
    ax.plot(betas, np.zeros(len(betas)), "|", color=RED, markersize=8)
    ax.set_ylim(-0.03, 1.03)
    ax.set_xlabel("inverse temperature")
    ax.set_ylabel("share of accepted swaps")
    ax.set_title("ladder of the tempering", fontsize=9)
