"""Rows to one table: means over splits and initialisations with standard errors, and the mean rank over shifts.

A standard error is that over splits, each the mean of its initialisations. A method's rank is its place by mean AUROC
among the ranked methods of a shift (ties share), averaged over the shifts; ablations of GEBM have none.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata

from .cell import Row
from .listing import methods

TEN = (
    "max_softmax", "entropy", "logit_energy", "gnnsafe", "mc_dropout", "ensemble", "gaussian", "gaussian_alone",
    "logit_energy_alone", "gebm",
)  # fmt: skip
"""The methods of the headline; ranks among them are told beside ranks among all."""


class Figure(NamedTuple):
    """A mean over splits with its standard error, NaN of one split."""

    mean: float
    error: float

    @property
    def text(self) -> str:
        """`0.812 ± 0.004`."""
        return f"{self.mean:.3f}" + (f" ± {self.error:.3f}" if np.isfinite(self.error) else "")


@dataclass(frozen=True)
class Table:
    """A graph and a backbone, all methods, all shifts.

    Attributes:
        graph: Its name.
        backbone: Of the networks.
        splits: How many.
        inits: How many a split.
        accuracy: Of the networks on known test nodes, over all groups.
        figures: {method: {shift: {"auroc": Figure, "aupr": Figure}}}, methods by rank, ablations last.
        means: {method: {"auroc": Figure, "aupr": Figure}}, the mean over shifts.
        ranks: {method: Figure} among all ranked methods by AUROC; its error is that of the ranks of single splits.
        ranks_of_ten: {method: mean rank among `TEN`}.
        curve: {share: {predictor: Figure}}.
        seconds: Means of the rows' seconds.
    """

    graph: str
    backbone: str
    splits: int
    inits: int
    accuracy: Figure
    figures: dict[str, dict[str, dict[str, Figure]]]
    means: dict[str, dict[str, Figure]]
    ranks: dict[str, Figure]
    ranks_of_ten: dict[str, float]
    curve: dict[str, dict[str, Figure]]
    seconds: dict[str, float]

    @property
    def shifts(self) -> list[str]:
        """Their names, in order."""
        return list(next(iter(self.figures.values()))) if self.figures else []

    def as_dict(self) -> dict[str, Any]:
        """Plain values, figures as [mean, error]."""
        return {name: _plain(value) for name, value in self.__dict__.items()}


def tables(rows: Iterable[Row]) -> list[Table]:
    """One table a graph and backbone, in the order in which they come.

    Args:
        rows: Of any cells.
    """
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.graph, row.backbone), []).append(row)
    return [_table(graph, backbone, group) for (graph, backbone), group in found.items()]


def mean_ranks(scores: np.ndarray) -> np.ndarray:
    """Mean rank of every method over the shifts, 1 is best, [methods].

    Args:
        scores: Higher is better, [methods, shifts].

    Example:
        >>> mean_ranks(np.array([[0.9, 0.5], [0.8, 0.5], [0.7, 0.9]]))
        array([1.75, 2.25, 2.  ])
    """
    return rankdata(-scores, axis=0).mean(axis=1)


def _table(graph: str, backbone: str, rows: list[Row]) -> Table:
    splits = sorted({row.split for row in rows})
    shifts = list(dict.fromkeys(name for row in rows for name in row.figures))
    names = list(dict.fromkeys(name for row in rows for each in row.figures.values() for name in each))
    by_split = {
        kind: np.array([[[_mean(rows, s, shift, name, kind) for shift in shifts] for name in names] for s in splits])
        for kind in ("auroc", "aupr")
    }
    known = methods()
    ranked = [n for n in names if not getattr(known[n], "ABLATION", False)]
    ten = [n for n in ranked if n in TEN]
    ranks, of_ten = _ranks(by_split["auroc"], names, ranked), _ranks(by_split["auroc"], names, ten)
    order = sorted(ranked, key=lambda n: ranks[n].mean) + [n for n in names if n not in ranked]
    at = {name: i for i, name in enumerate(names)}
    figures = {
        n: {
            shift: {kind: _figure(values[:, at[n], j]) for kind, values in by_split.items()}
            for j, shift in enumerate(shifts)
        }
        for n in order
    }
    means = {n: {kind: _figure(v[:, at[n]].mean(axis=1)) for kind, v in by_split.items()} for n in order}
    curves = [row for row in rows if row.curve]
    curve = {
        share: {who: _over_splits([(r.split, r.curve[share][who]) for r in curves]) for who in curves[0].curve[share]}
        for share in (curves[0].curve if curves else {})
    }
    return Table(
        graph=graph,
        backbone=backbone,
        splits=len(splits),
        inits=len({row.init for row in rows}),
        accuracy=_over_splits([(row.split, row.accuracy) for row in rows]),
        figures=figures,
        means=means,
        ranks={n: ranks[n] for n in order if n in ranks},
        ranks_of_ten={n: of_ten[n].mean for n in order if n in of_ten},
        curve=curve,
        seconds={name: float(np.mean([row.seconds[name] for row in rows])) for name in rows[0].seconds},
    )


def _ranks(auroc: np.ndarray, names: list[str], ranked: list[str]) -> dict[str, Figure]:
    if not ranked or not auroc.size:
        return {}
    rows = [names.index(n) for n in ranked]
    whole = mean_ranks(auroc[:, rows].mean(axis=0))
    each = np.array([mean_ranks(one[rows]) for one in auroc])
    return {n: Figure(float(whole[i]), _figure(each[:, i]).error) for i, n in enumerate(ranked)}


def _mean(rows: list[Row], split: int, shift: str, method: str, kind: str) -> float:
    found = [r.figures[shift][method][kind] for r in rows if r.split == split and method in r.figures.get(shift, {})]
    return float(np.mean(found)) if found else float("nan")


def _over_splits(pairs: list[tuple[int, float]]) -> Figure:
    groups: dict[int, list[float]] = {}
    for split, value in pairs:
        groups.setdefault(split, []).append(value)
    return _figure(np.array([np.mean(values) for values in groups.values()]))


def _figure(values: np.ndarray) -> Figure:
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
    return Figure(float(values.mean()), error)


def _plain(value: Any) -> Any:
    if isinstance(value, Figure):
        return [value.mean, value.error if np.isfinite(value.error) else None]
    return {name: _plain(each) for name, each in value.items()} if isinstance(value, dict) else value
