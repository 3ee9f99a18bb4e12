"""The parts of the page between verdict and settings: what each shows, in which order, and what it says when empty."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .canvas import Panel
from .chains import chain_panels
from .energies import histogram_panels, likelihood_panel, log_z_panel, ood_panel
from .gather import RunFolder, section
from .landscape import is_planar, landscape_panels
from .machine import held_out_panel, is_machine, machine_panels
from .samples import class_panel, sample_panels
from .tables import (
    Table,
    alarms_table,
    chain_tables,
    density_table,
    labels_table,
    likelihood_table,
    log_z_table,
    metrics_table,
    ood_tables,
    quality_table,
)
from .training import training_panels, what_leads

Figures = Iterable[Callable[[], Iterable[Panel | None]]]
Tables = Iterable[Callable[[], Iterable[Table | None]]]


@dataclass(frozen=True)
class Chapter:
    """One part of the page.

    Attributes:
        name: Its anchor.
        title: Its heading.
        lead: What to know before looking.
        panels: Its figures.
        tables: Its tables.
        absent: What is missing, in sentences.
        notes: What the estimators said against their own numbers.
    """

    name: str
    title: str
    lead: str
    panels: tuple[Panel, ...] = ()
    tables: tuple[Table, ...] = ()
    absent: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def chapters(run: RunFolder) -> list[Chapter]:
    """Draws every part of the page of a run, in reading order; the plane and the machine only where there is one."""
    makers = [_training, _samples, _machine, _energies, _likelihood, _outsiders, _quality, _plane, _chains]
    left_out = {_plane: not is_planar(run), _machine: not is_machine(run)}
    return [make(run) for make in makers if not left_out.get(make)]


def _training(run: RunFolder) -> Chapter:
    return _chapter(
        "training",
        "Training",
        f"{what_leads(run.metrics)} Lines are means over the logged steps, shades their range.",
        [lambda: [held_out_panel(run.metrics)], lambda: training_panels(run.metrics)],
        [lambda: [alarms_table(run.alarms), metrics_table(run.metrics)]],
        "No training metrics were logged.",
    )


def _samples(run: RunFolder) -> Chapter:
    return _chapter(
        "samples",
        "Samples beside data",
        "Figures can be good and samples poor, or the reverse: look at both.",
        [lambda: sample_panels(run)],
        [],
        "No samples are stored in this run folder.",
    )


def _machine(run: RunFolder) -> Chapter:
    return _chapter(
        "machine",
        "The machine",
        "What the hidden units look at; and, where the true law is known, how much of it the machine has.",
        [lambda: machine_panels(run)],
        [lambda: [density_table(run.evaluation, "states")]],
        "No weights are stored in this run folder.",
    )


def _energies(run: RunFolder) -> Chapter:
    return _chapter(
        "energies",
        "Energies",
        "What the model says of data it was trained on, of data it never saw, of its own samples, and of outsiders.",
        [lambda: histogram_panels(run)],
        [],
        "No energies are stored in this run folder.",
    )


def _likelihood(run: RunFolder) -> Chapter:
    return _chapter(
        "likelihood",
        "log Z and likelihood",
        "A likelihood needs log Z, which can only be estimated. Believe it when two routes agree, when a longer run "
        "does not move it, and when enough chains carry the weight.",
        [lambda: [log_z_panel(run.evaluation)], lambda: [likelihood_panel(run.evaluation)]],
        [
            lambda: [log_z_table(run.evaluation)],
            lambda: [likelihood_table(run.evaluation)],
            lambda: [labels_table(run.evaluation)],
        ],
        "Neither log Z nor a likelihood was estimated.",
        _remarks(run.evaluation),
    )


def _outsiders(run: RunFolder) -> Chapter:
    return _chapter(
        "outsiders",
        "Out-of-distribution data",
        "How well the energy tells outsiders from held-out data, beside baselines on the same data. Uniform noise and "
        "shuffled pixels are easy for everybody; the hard sets are what counts. The best of each row is bold, also "
        "when it is a baseline.",
        [lambda: [ood_panel(run.evaluation)]],
        [lambda: ood_tables(run.evaluation)],
        "No outside sets were scored.",
    )


def _quality(run: RunFolder) -> Chapter:
    return _chapter(
        "quality",
        "Sample quality",
        "Each distance is read beside its floor: what real training data score against real held-out data.",
        [lambda: [class_panel(run.evaluation)]],
        [lambda: [quality_table(run.evaluation)]],
        "No distance between samples and data was measured.",
    )


def _plane(run: RunFolder) -> Chapter:
    return _chapter(
        "plane",
        "The plane",
        "In two dimensions everything can be computed on a grid, so the model is held against the truth itself.",
        [lambda: landscape_panels(run)],
        [lambda: [density_table(run.evaluation)]],
        "No grid is stored in this run folder.",
    )


def _chains(run: RunFolder) -> Chapter:
    return _chapter(
        "chains",
        "Chains",
        "Whether the chains that drew the samples have forgotten where they started and agree with each other.",
        [lambda: chain_panels(run)],
        [lambda: chain_tables(run.evaluation)],
        "No chain diagnostics are stored in this run folder.",
    )


def _chapter(
    name: str, title: str, lead: str, figures: Figures, tables: Tables, empty: str, notes: tuple[str, ...] = ()
) -> Chapter:
    """One part of the page. What cannot be drawn is named with its reason: one bad array never costs the page."""
    absent: list[str] = []
    panels = _attempt(figures, f"A figure of “{title}”", absent)
    filled = _attempt(tables, f"A table of “{title}”", absent)
    if not panels and not filled and not absent:
        absent.append(empty)
    return Chapter(name, title, lead, tuple(panels), tuple(filled), tuple(absent), notes)


def _remarks(evaluation: Mapping[str, Any]) -> tuple[str, ...]:
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
