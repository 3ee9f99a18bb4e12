"""Of a machine of bits: its held-out likelihood along training, what its hidden units look at, masses of patterns."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .canvas import BLUE, ORANGE, SOFT, Panel, axes, draw, legend_above, steps_axis
from .gather import RunFolder, as_images, curve, section
from .landscape import masses_panel
from .samples import grid_panel


def is_machine(run: RunFolder) -> bool:
    """Whether the run's model is a machine of bits."""
    return "machine" in run.evaluation


def machine_panels(run: RunFolder) -> list[Panel | None]:
    """The weights of the hidden units as images, and the masses of the patterns where they are known.

    Args:
        run: The run folder; reads the array filters and evaluation.json's states.
    """
    return [_filters(run), masses_panel(section(run.evaluation, "states"), "summed over all states")]


def _filters(run: RunFolder) -> Panel | None:
    weights = run.arrays.get("filters")
    images = as_images(run, weights) if weights is not None and weights.ndim >= 2 else None
    if images is None or not len(images):
        return None
    reach = float(np.percentile(np.abs(images), 99.5)) or 1.0
    return grid_panel(
        "filters",
        "Weights of the hidden units",
        f"What each of {len(images)} hidden units looks at, the largest first: white for pixels that switch it on (and "
        f"that it switches on), black for those that switch it off, middle grey for 0; the scale ends at {reach:.2g} "
        "nats. A unit that is grey all over has learned nothing.",
        images,
        -reach,
        reach,
    )


_ROUTES = (("held_out_ais", "AIS", ORANGE, "s"), ("held_out_audit", "auditors", BLUE, "o"))


def held_out_panel(rows: Sequence[Mapping[str, Any]]) -> Panel | None:
    """The exact held-out likelihood along training, and the estimates of it with two standard errors of their log Z.

    Args:
        rows: Rows of metrics.jsonl by rising step.
    """
    routes = [route for route in _ROUTES if len(curve(rows, route[0])[0])]
    if not routes:
        return None
    steps, exact = curve(rows, "held_out_exact")

    def paint(figure: Figure) -> None:
        ax = axes(figure, ylabel="held-out log-likelihood (nats)")
        if len(steps):
            ax.plot(steps, exact, color=SOFT, linewidth=1.3, label="exact")
        for name, label, colour, marker in routes:
            at, values = curve(rows, name)
            errors = curve(rows, f"{name}_error")[1]
            bars = 2 * errors if len(errors) == len(values) else None
            ax.errorbar(at, values, bars, color=colour, fmt=marker, markersize=3.5, capsize=2, label=label)
        steps_axis(ax)
        legend_above(figure, ax)

    told = {label: curve(rows, name)[1][-1] for name, label, *_ in routes} | (
        {"exact": exact[-1]} if len(exact) else {}
    )
    return draw(
        "held-out-likelihood",
        "Held-out log-likelihood",
        "Of the machine in training (what is measured at the end is its average): exactly, where a layer is small "
        "enough to be summed over; by annealed importance sampling; and by the auditors, the weighted walkers that "
        "never drive the gradient, where there are any. Bars are two standard errors of log Z.",
        "Held-out log-likelihood at the last look: " + ", ".join(f"{k} {v:.4g}" for k, v in told.items()) + " nats.",
        paint,
    )
