"""Training curves: the energy gap first, the health of the walkers next, the loss last and never alone."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .canvas import (
    BLUE,
    DASHES,
    GREEN,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    SOFT,
    Panel,
    axes,
    draw,
    legend_above,
    log_axis,
    steps_axis,
    thousands,
)
from .gather import curve

_BINS = 240  # points of a drawn curve; a longer run is drawn as the mean and the range of each bin

Rows = Sequence[Mapping[str, Any]]


def training_panels(rows: Rows) -> list[Panel]:
    """The figures of the training section, those whose metrics were logged.

    Args:
        rows: Rows of metrics.jsonl by rising step.
    """
    makers = (
        _log_likelihood,
        _gap,
        _held_out,
        _energies,
        _acceptance,
        _step_size,
        _gradient,
        _temperature,
        _ages,
        _walkers,
        _log_z,
        *(_told(words) for words in _OF_WALKERS),
        _score_norm,
        _loss,
    )
    return [panel for panel in (make(rows) for make in makers) if panel is not None]


def what_leads(rows: Rows) -> str:
    """Which curve tells how training goes, in a sentence or two: that of the first panel."""
    if _has(rows, "held_out_ais"):
        return (
            "The likelihood of held-out data comes first: measured now and then, it tells how training goes, whatever "
            "the rule. Read the loss with what is said below it."
        )
    if _has(rows, "log_likelihood"):
        if _has(rows, "gap"):  # a rule that sums over all states has no walkers, and no gap
            return (
                "The auditors' log-likelihood comes first: it tells how training goes. The loss is no progress signal."
            )
        return "The log-likelihood comes first: this rule knows it exactly."
    if _has(rows, "gap"):
        return (
            "The energy gap comes first: it is the signal that training balances. The loss is no progress signal and "
            "stands last."
        )
    return "This rule has no walkers and no energy gap: its loss tells how training goes, in its own units."


def _gap(rows: Rows) -> Panel | None:
    if not _has(rows, "gap"):
        return None

    def paint(figure: Figure) -> None:
        ax = axes(figure, ylabel="energy gap (nats)")
        ax.axhline(0.0, color=SOFT, linewidth=1.0, linestyle=DASHES[1])
        _line(ax, rows, "gap", BLUE)
        steps_axis(ax)

    return draw(
        "energy-gap",
        "Energy gap",
        "Mean energy of the data minus mean energy of the walkers. It settles near zero when the walkers look like "
        "the data to the model; a gap that runs away means that training has diverged.",
        f"Energy gap against training step. {_ends(rows, 'gap')}",
        paint,
    )


def _log_likelihood(rows: Rows) -> Panel | None:
    return _single(
        rows,
        "log_likelihood",
        "Log-likelihood",
        "log-likelihood (nats)",
        GREEN,
        "Mean log-likelihood of each batch by the log Z of the auditors, the walkers that never drive the gradient, or "
        "by the exact one where the rule sums over all states. It is a signal of progress; of auditors, as far as "
        "their error bar and their effective number go.",
    )


def _log_z(rows: Rows) -> Panel | None:
    return _single(
        rows,
        "log_z",
        "log Z of the training rule",
        "log Z (nats)",
        PURPLE,
        "log Z as the rule itself tells it. Where the energy carries its own log Z it goes to 0; elsewhere it is that "
        "of the model in training, which the averaged model that is measured follows.",
    )


_OF_WALKERS = (
    ("log_z_error", "Error of log Z", "standard error (nats)", PURPLE,
     "Standard error of the auditors' log Z over their groups: the likelihood above is known to no better."),
    ("ess_audit", "Auditors that count", "effective fraction", GREEN,
     "Effective fraction of the walkers that never drive the gradient. Near zero a few carry all the weight, and log Z "
     "is not known."),
    ("self_influence", "Self-influence", "log Z of drivers − of auditors (nats)", RED,
     "How far the model flatters the walkers that drive it. It should stay about zero."),
    ("swap_rate", "Swap rate", "swaps over attempts", SKY,
     "Swaps between neighbouring temperatures since the start. Near zero the ladder has a gap: walkers are frozen."),
)  # fmt: skip
"""(metric, title, label, colour, caption) of what weighted and tempered walkers tell."""


def _told(words: tuple[str, str, str, str, str]) -> Callable[[Rows], Panel | None]:
    return lambda rows: _single(rows, *words)


def _held_out(rows: Rows) -> Panel | None:
    return _single(
        rows,
        "held_out_gap",
        "Held-out gap",
        "E(held out) − E(train) (nats)",
        GREEN,
        "Mean energy of held-out data minus that of training data under the averaged model. When it grows while "
        "training goes on, the model is learning its training data by heart.",
    )


def _energies(rows: Rows) -> Panel | None:
    names = [name for name in ("energy_data", "energy_model") if _has(rows, name)]
    if not names:
        return None
    labels = {"energy_data": ("data", BLUE, "-"), "energy_model": ("walkers", RED, DASHES[1])}

    def paint(figure: Figure) -> None:
        ax = axes(figure, ylabel="mean energy (nats)")
        for name in names:
            label, colour, dash = labels[name]
            _line(ax, rows, name, colour, label, dash)
        steps_axis(ax)
        legend_above(figure, ax)

    return draw(
        "energies-of-data-and-walkers",
        "Energies of data and walkers",
        "The two halves of the gap. Both may drift together, since an energy is defined up to a constant; they "
        "should not part.",
        "Mean energy of data and of walkers against training step. " + " ".join(_ends(rows, name) for name in names),
        paint,
    )


def _acceptance(rows: Rows) -> Panel | None:
    if not _has(rows, "acceptance"):
        return None
    untested = bool(np.all(curve(rows, "acceptance")[1] == 1.0))
    caption = (
        "This sampler has no Metropolis test: every move is taken. Gibbs steps need none; of Langevin steps it hides "
        "the bias."
        if untested
        else "Share of proposed moves that the Metropolis test accepted. The band marks 0.6 to 0.9, where MALA works "
        "well; near 0 the walkers are stuck, near 1 they hardly move."
    )

    def paint(figure: Figure) -> None:
        ax = axes(figure, ylabel="acceptance (fraction)")
        if not untested:
            ax.axhspan(0.6, 0.9, color=GREEN, alpha=0.13, linewidth=0)
        _line(ax, rows, "acceptance", GREEN)
        ax.set_ylim(-0.02, 1.02)
        steps_axis(ax)

    return draw(
        "acceptance",
        "Acceptance",
        caption,
        f"Acceptance against training step. {_ends(rows, 'acceptance')}",
        paint,
    )


def _step_size(rows: Rows) -> Panel | None:
    return _single(
        rows,
        "step_size",
        "Step size",
        "step size η (x²)",
        PURPLE,
        "Step size of the sampler, adapted to hold the acceptance. A steady fall means that the energy is getting "
        "rougher.",
        log=True,
    )


def _gradient(rows: Rows) -> Panel | None:
    return _single(
        rows,
        "grad_norm",
        "Gradient norm",
        "gradient norm",
        ORANGE,
        "Length of the parameter gradient before clipping. A jump of two orders of magnitude is a sign of stuck "
        "walkers.",
        log=True,
    )


def _temperature(rows: Rows) -> Panel | None:
    if not _has(rows, "temperature"):
        return None

    def paint(figure: Figure) -> None:
        ax = axes(figure, ylabel="effective temperature")
        ax.axhline(1.0, color=SOFT, linewidth=1.0, linestyle=DASHES[1])
        _line(ax, rows, "temperature", RED)
        _, values = curve(rows, "temperature")
        if np.all(np.abs(values - 1.0) < 0.05):
            ax.set_ylim(0.9, 1.1)
        steps_axis(ax)

    return draw(
        "temperature",
        "Effective temperature",
        "σ²/(2η) of the sampler's noise σ and step η. Only at 1 (dashed) do the walkers sample the model itself; a "
        "colder sampler trains a different model behind calm curves.",
        f"Effective temperature against training step. {_ends(rows, 'temperature')}",
        paint,
    )


def _ages(rows: Rows) -> Panel | None:
    names = [name for name in ("age_mean", "age_max") if _has(rows, name)]
    if not names:
        return None
    labels = {"age_mean": ("mean", SKY, "-"), "age_max": ("oldest", PURPLE, DASHES[1])}

    def paint(figure: Figure) -> None:
        ax = axes(figure, ylabel="buffer age (turns)")
        for name in names:
            label, colour, dash = labels[name]
            _line(ax, rows, name, colour, label, dash)
        ax.set_ylim(bottom=0)
        thousands(ax)
        steps_axis(ax)
        legend_above(figure, ax)

    return draw(
        "buffer-age",
        "Buffer age",
        "Training turns that a walker of the replay buffer has taken since it was born. Old walkers have had time to "
        "forget where they started.",
        "Age of the replay buffer's walkers against training step. " + " ".join(_ends(rows, name) for name in names),
        paint,
    )


def _walkers(rows: Rows) -> Panel | None:
    if not _has(rows, "walker_radius"):
        return None

    def paint(figure: Figure) -> None:
        ax = axes(figure, ylabel="walker radius / data radius")
        ax.axhline(1.0, color=SOFT, linewidth=1.0, linestyle=DASHES[1])
        _line(ax, rows, "walker_radius", SKY)
        ax.set_ylim(bottom=0)
        steps_axis(ax)

    return draw(
        "walker-radius",
        "How far walkers stray",
        "The farthest walker's largest coordinate over that of the batch. Beyond 5 the walkers have left the region "
        "of the data.",
        f"Walker radius against training step. {_ends(rows, 'walker_radius')}",
        paint,
    )


def _score_norm(rows: Rows) -> Panel | None:
    return _single(
        rows,
        "score_norm",
        "Score norm",
        "mean |score|",
        SKY,
        "Mean length of the model's score, the downhill slope of its energy.",
    )


def _loss(rows: Rows) -> Panel | None:
    contrastive = _has(rows, "gap")
    caption = (
        "Shown for completeness: the loss of contrastive training is no measure of progress. It hovers about a "
        "constant both when all goes well and when nothing is learned. Judge by the gap, the likelihood and the "
        "samples."
        if contrastive
        else "A rule without walkers has a true objective: a falling loss is progress, in its own units. It does not "
        "tell what the rule cannot see; for score matching and its kin, the masses of well separated modes. Judge by "
        "the likelihood and the samples too."
    )
    return _single(rows, "loss", "Loss (no progress signal)" if contrastive else "Loss", "loss", SOFT, caption)


def _single(
    rows: Rows, name: str, title: str, label: str, colour: str, caption: str, *, log: bool = False
) -> Panel | None:
    if not _has(rows, name):
        return None

    def paint(figure: Figure) -> None:
        ax = axes(figure, ylabel=label)
        _line(ax, rows, name, colour)
        _, values = curve(rows, name)
        if log and np.all(values[np.isfinite(values)] > 0):
            log_axis(ax)
        steps_axis(ax)

    return draw(name.replace("_", "-"), title, caption, f"{title} against training step. {_ends(rows, name)}", paint)


def _has(rows: Rows, name: str) -> bool:
    _, values = curve(rows, name)
    return bool(np.isfinite(values).any())


def _ends(rows: Rows, name: str) -> str:
    steps, values = curve(rows, name)
    keep = np.isfinite(values)
    steps, values = steps[keep], values[keep]
    gone = f" {int((~keep).sum())} values are not finite and are left out." if not keep.all() else ""
    first, last = (f"{values[i]:.3g} at step {steps[i]:,.0f}" for i in (0, -1))
    return f"{name.replace('_', ' ')}: {first}, {last}.{gone}"


def _line(ax: Axes, rows: Rows, name: str, colour: str, label: str | None = None, dash: Any = "-") -> None:
    """One metric: every value if few, else each bin's mean over its range; values not finite leave a mark."""
    steps, values = curve(rows, name)
    keep = np.isfinite(values)
    if not keep.all():
        for step in steps[~keep][:200]:
            ax.axvline(step, color=RED, linewidth=0.6, alpha=0.5)
    steps, values = steps[keep], values[keep]
    if len(steps) > _BINS:
        edges = np.linspace(0, len(steps), _BINS + 1).astype(int)[:-1]
        counts = np.diff(np.append(edges, len(steps)))
        low, high = np.minimum.reduceat(values, edges), np.maximum.reduceat(values, edges)
        steps, values = np.add.reduceat(steps, edges) / counts, np.add.reduceat(values, edges) / counts
        ax.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
    marker = "o" if len(steps) == 1 else None
    ax.plot(steps, values, color=colour, linestyle=dash, linewidth=1.5, label=label, marker=marker)
