"""Rows to one table: means over seeds with their standard errors; runs that diverged are counted, not averaged."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .cell import Row
from .measures import MEASURES


@dataclass(frozen=True)
class Summary:
    """A method on a problem over its seeds.

    Attributes:
        problem: Its name.
        method: Its name.
        seeds: How many runs there were.
        diverged: How many of them diverged.
        means: Of every figure over the runs that did not; None where there is none.
        errors: Standard errors of the means; None of fewer than two runs.
        budget: Evaluations that each was given.
    """

    problem: str
    method: str
    seeds: int
    diverged: int
    means: dict[str, float | None]
    errors: dict[str, float | None]
    budget: int

    def as_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return dict(self.__dict__)

    def text(self, name: str, digits: int = 3) -> str:
        """A figure as words: `0.123 +- 0.004`; empty where there is none."""
        mean, error = self.means[name], self.errors[name]
        if mean is None:
            return ""
        if name in ("seconds", "evaluations"):
            return f"{mean:,.0f}" if name == "evaluations" or mean >= 10 else f"{mean:.1f}"
        return f"{mean:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")


def summarise(rows: Iterable[Row]) -> list[Summary]:
    """One summary a problem and method, problems in the order in which they come, the best methods first.

    Example:
        >>> rows = [Row("a", "m", seed, 10, 1, figures={"nll": float(seed)}) for seed in (1, 2, 3)]
        >>> summarise(rows)[0].text("nll")
        '2.000 ± 0.577'
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.problem, row.method), []).append(row)
    order = list(dict.fromkeys(problem for problem, _ in groups))
    found = [_summary(problem, method, group) for (problem, method), group in groups.items()]
    return sorted(found, key=lambda each: (order.index(each.problem), _rank(each)))


def _rank(each: Summary) -> float:
    """KL where there is one, else NLL; what diverged comes last."""
    value = each.means["kl"] if each.means["kl"] is not None else each.means["nll"]
    return float("inf") if value is None else value


def _summary(problem: str, method: str, group: list[Row]) -> Summary:
    good = [row for row in group if not row.diverged]
    means: dict[str, float | None] = {}
    errors: dict[str, float | None] = {}
    for name in MEASURES:
        values = [row.figures.get(name) for row in good]
        known = np.array([value for value in values if value is not None], np.float64)
        means[name] = float(known.mean()) if len(known) else None
        errors[name] = float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else None
    return Summary(problem, method, len(group), len(group) - len(good), means, errors, group[0].budget)
