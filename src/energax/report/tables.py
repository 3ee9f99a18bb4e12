"""Tables of numbers: rows of text cells with the best marked, ready for the page."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import numpy as np

from .gather import number, section
from .judgement import ess_share, floor_level, label, say

_LONG_NAMES = {
    "mmd2": "MMD² (kernel distance)",
    "sliced_wasserstein": "Sliced Wasserstein distance",
    "c2st": "Classifier two-sample test (accuracy)",
    "frechet": "Fréchet distance (classifier features)",
    "class_tv": "Class frequencies (total variation)",
}


@dataclass(frozen=True)
class Cell:
    """One cell: its text, whether it is the best of its row or column, and a level word to mark it with."""

    text: str
    best: bool = False
    level: str = ""


@dataclass(frozen=True)
class Table:
    """One table of the page.

    Attributes:
        name: Its anchor.
        caption: What it holds and how to read it.
        head: Column heads; the first column holds the rows' names.
        rows: Cells by row.
        prose: Whether its cells are sentences, which wrap.
    """

    name: str
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...] = field(default=())
    prose: bool = False

    @property
    def narrow(self) -> bool:
        """Whether the table is a list of names and values, which the page keeps close together."""
        return len(self.head) <= 2


def log_z_table(evaluation: Mapping[str, Any]) -> Table | None:
    """Every annealed run with its error and the effective share of its chains."""
    log_z = section(evaluation, "log_z")
    rows = []
    for route in ("forward", "reverse"):
        runs = log_z.get(route)
        for run in runs if isinstance(runs, list) else []:
            if not isinstance(run, Mapping):
                continue
            share = ess_share(run)
            rows.append(
                (
                    Cell(_route(route, run)),
                    Cell(_say(run.get("estimate"), 5)),
                    Cell(_say(run.get("se"), 2)),
                    Cell(_say(run.get("num_temperatures"), 9)),
                    Cell(_say(run.get("num_chains"), 9)),
                    Cell(
                        f"{say(number(run.get('ess')))} ({say(100 * share, 2)} %)"
                        if share is not None
                        else _say(run.get("ess"))
                    ),
                    Cell(_say(run.get("x_energy_mean"), 4)),
                )
            )
    if not rows:
        return None
    head = (
        "Route",
        "log Z (nats)",
        "Standard error",
        "Temperatures",
        "Chains",
        "Effective chains",
        "Mean energy at the end",
    )
    return Table("log-z-table", "Annealed importance sampling, each run", head, tuple(rows))


def likelihood_table(evaluation: Mapping[str, Any]) -> Table | None:
    """Held-out and training NLL, bits per dimension, and the baselines; the lowest held-out NLL is the best."""
    likelihood = section(evaluation, "likelihood")
    baselines = section(likelihood, "baselines")
    if not likelihood:
        return None
    nll = {
        "this model": number(likelihood.get("nll_test")),
        **{n: number(section(baselines, n).get("nll_test")) for n in baselines},
    }
    known = [v for v in nll.values() if v is not None and np.isfinite(v)]
    best = min(known, default=None)
    places = 1 if max((abs(v) for v in known), default=0.0) >= 10 else 3
    rows = []
    for name, value in nll.items():
        mine = name == "this model"
        source = likelihood if mine else section(baselines, name)
        error = number(source.get("nll_test_se"))
        cells = [
            Cell(_fixed(value, places), value is not None and value == best),
            Cell(_fixed(error, places + 1)),
            Cell(_fixed(number(source.get("nll_train")), places)),
            Cell(_say(source.get("bits_per_dim"))),
        ]
        rows.append((Cell(name if mine else label(name)), *cells))
    units = likelihood.get("units") or "nats"
    bracket = likelihood.get("nll_bracket")
    ends = (
        f" Bracket from the two routes to log Z: {_say(bracket[0], 4)} to {_say(bracket[1], 4)}."
        if _pair(bracket)
        else ""
    )
    caption = f"Negative log-likelihood in {units}; lower is better.{ends}"
    return Table(
        "likelihood-table",
        caption,
        ("Model", "Held-out NLL", "Standard error", "Training NLL", "Bits per dimension"),
        tuple(rows),
    )


def labels_table(evaluation: Mapping[str, Any]) -> Table | None:
    """Of a classifier's energy: how well p(y | x) tells the classes."""
    labels = section(evaluation, "labels")
    rows = tuple(
        (
            Cell(name),
            Cell(_fixed(number(labels.get(f"accuracy_{side}")), 3)),
            Cell(_fixed(number(labels.get(f"cross_entropy_{side}")), 3)),
        )
        for name, side in (("held out", "test"), ("training", "train"))
    )
    caption = "The classes by p(y | x): share of rows whose likeliest class is theirs, and cross-entropy."
    return Table("labels-table", caption, ("Rows", "Accuracy", "Cross-entropy (nats)"), rows) if labels else None


def ood_tables(evaluation: Mapping[str, Any]) -> list[Table]:
    """AUROC, AUPR and FPR95 by set and score; the best score of each set is marked, also when it is a baseline."""
    ood = section(evaluation, "ood")
    scores = list(dict.fromkeys(score for name in ood for score in section(ood, name)))
    tables = []
    for key, title, higher in (
        ("auroc", "AUROC (higher is better)", True),
        ("aupr", "AUPR (higher is better)", True),
        ("fpr95", "FPR95: share of outsiders let through when 95 % of the data are kept (lower is better)", False),
    ):
        rows = []
        for name in ood:
            values = [number(section(ood, name, score).get(key)) for score in scores]
            known = [v for v in values if v is not None and np.isfinite(v)]
            best = (max(known) if higher else min(known)) if known else None
            # Where all are equally good nobody is the best.
            tie = bool(known) and min(known) == max(known)
            rows.append(
                (Cell(label(name)), *(Cell(_fixed(v), v is not None and v == best and not tie) for v in values))
            )
        if any(cell.text != "–" for row in rows for cell in row[1:]):
            tables.append(Table(f"ood-{key}", title, ("Outside set", *(label(score) for score in scores)), tuple(rows)))
    return tables


def quality_table(evaluation: Mapping[str, Any]) -> Table | None:
    """Each distance between samples and data beside the floor that real data reach."""
    quality = section(evaluation, "sample_quality")
    rows = []
    for name in quality:
        entry = section(quality, name)
        if name == "nearest_neighbour":
            rows.append(
                (
                    Cell("Distance to the nearest training item"),
                    Cell(_say(entry.get("samples"))),
                    Cell(_say(entry.get("heldout"))),
                    Cell(_say(entry.get("samples_se"), 2)),
                    Cell("floor: of held-out data"),
                )
            )
        elif number(entry.get("value")) is not None:
            level = floor_level(name, entry)
            rows.append(
                (
                    Cell(_LONG_NAMES.get(name, name)),
                    Cell(_say(entry.get("value"))),
                    Cell(_say(entry.get("floor"))),
                    Cell(_say(entry.get("se"), 2)),
                    Cell(
                        {"ok": "at the floor", "warn": "above", "bad": "far above"}.get(level, "no floor"), level=level
                    ),
                )
            )
    if not rows:
        return None
    caption = (
        "Distance of samples from held-out data; the floor is what training data score against held-out data. "
        "Lower is better."
    )
    return Table("quality-table", caption, ("Measure", "Samples", "Floor", "Standard error", "Reading"), tuple(rows))


def chain_tables(evaluation: Mapping[str, Any]) -> list[Table]:
    """The chains in one table, each watched quantity in another."""
    chains = section(evaluation, "chains")
    names = {
        "num_chains": "Chains",
        "num_draws": "Draws per chain",
        "acceptance": "Acceptance (fraction)",
        "rhat_max": "Largest split R-hat",
        "ess_bulk_min": "Smallest effective sample size, bulk",
        "ess_tail_min": "Smallest effective sample size, tails",
        "autocorrelation_time": "Autocorrelation time (draws)",
    }
    rows = [
        (Cell(label), Cell(_say(chains.get(key), 4)))
        for key, label in names.items()
        if number(chains.get(key)) is not None
    ]
    tables = []
    if rows:
        tables.append(Table("chains-table", "Chains of the trained model", ("Quantity", "Value"), tuple(rows)))
    watched = chains.get("table")
    lines = [row for row in watched if isinstance(row, Mapping)] if isinstance(watched, list) else []
    if lines:
        cells = tuple(
            (
                Cell(str(r.get("name", "unnamed"))),
                Cell(_say(r.get("rhat"), 4)),
                Cell(_say(r.get("ess_bulk"))),
                Cell(_say(r.get("ess_tail"))),
            )
            for r in lines[:100]
        )
        head = ("Quantity", "Split R-hat", "Effective size, bulk", "Effective size, tails")
        tables.append(Table("rhat-table", "Mixing of each watched quantity", head, cells))
    return tables


def density_table(evaluation: Mapping[str, Any], where: str = "density2d") -> Table | None:
    """KL divergence and the masses of the modes beside the truth; `where` is the part that holds them."""
    density = section(evaluation, where)
    rows = [
        (Cell(label), Cell(_say(density.get(key), 4)))
        for key, label in (
            ("kl_true_model", "KL(true ‖ model), nats"),
            ("kde_kl", "KL(true ‖ kernel density of the training data), nats"),
            ("log_z_grid", "log Z by quadrature, nats"),
        )
        if number(density.get(key)) is not None
    ]
    true, model = density.get("mode_masses_true"), density.get("mode_masses_model")
    if isinstance(true, list) and isinstance(model, list) and len(true) == len(model):
        rows += [
            (Cell(f"Mass of mode {i}"), Cell(f"{_say(ours)} (true {_say(exact)})"))
            for i, (exact, ours) in enumerate(zip(true, model, strict=True))
        ][:64]
    caption = "Quadrature on the grid" if where == "density2d" else "Sums over all states"
    return Table("density-table", caption, ("Quantity", "Value"), tuple(rows)) if rows else None


def metrics_table(rows: list[dict[str, Any]]) -> Table | None:
    """The last logged row of training."""
    if not rows:
        return None
    cells = tuple(
        (Cell(str(name)), Cell(_say(value, 4))) for name, value in sorted(rows[-1].items()) if number(value) is not None
    )
    return Table("last-row", "The last row of the training log (means over its steps)", ("Metric", "Value"), cells)


def alarms_table(alarms: list[dict[str, Any]]) -> Table | None:
    """Every alarm as it was raised, the first hundred."""
    rows = tuple(
        (
            Cell(_say(alarm.get("step"), 12)),
            Cell(str(alarm.get("name", "unnamed"))),
            Cell(str(alarm.get("phase", ""))),
            Cell(str(alarm.get("message", ""))),
            Cell(str(alarm.get("advice", ""))),
        )
        for alarm in alarms[:100]
    )
    more = f" The first 100 of {len(alarms):,}." if len(alarms) > 100 else ""
    head = ("Step", "Alarm", "Phase", "What was seen", "Advice")
    return Table("alarms-table", f"Alarms of the run.{more}", head, rows, prose=True) if rows else None


def _route(route: str, run: Mapping[str, Any]) -> str:
    words = str(run.get("label", "unnamed"))
    return words if words.startswith(route) else f"{route}: {words}"


def _say(value: Any, digits: int = 3) -> str:
    real = number(value)
    return "–" if real is None else say(real, digits)


def _fixed(value: float | None, places: int = 3) -> str:
    return (
        "–" if value is None else "not a number" if not np.isfinite(value) else f"{value:,.{places}f}".replace("-", "−")
    )


def _pair(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list) and len(value) == 2
