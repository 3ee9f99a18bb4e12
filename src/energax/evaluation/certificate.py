"""What a certificate says: one row a check, and one word for all of them.

Source: the protocol of repeated looks follows Wald (1945), Sequential tests of statistical hypotheses,
    doi:10.1214/aoms/1177731118, in its simplest form: two stages.
What differs: a score beyond `SIGMAS` is looked at once more, on four times as many fresh draws, and only a second
score beyond it fails. False alarms: a score of a correct kernel passes 4 once in 16,000 looks, twice running once in
2.5e8; a certificate of 300 scores a seed fails by chance with probability 1e-6 a seed.
Cost: nothing. Fails for scores that are not normal.
"""

from typing import NamedTuple

import numpy as np

SIGMAS, ERROR, LEAST_SHARE = 4.0, 1e-10, 1e-3


class Row(NamedTuple):
    """One check.

    Attributes:
        check: What was asked.
        target: Of which target.
        statistic: The worst statistic of those looked at.
        value: How far off: standard errors (`unit` sigma), an absolute error, or a share of the variance.
        limit: What it may be at most; for a share, at least.
        unit: "sigma", "error" or "share".
        passed: Whether it is within the limit.
        binding: Whether the kernel claims it; one that is inexact does not claim its moments.
    """

    check: str
    target: str
    statistic: str
    value: float
    limit: float
    unit: str
    passed: bool
    binding: bool = True


class Certificate(NamedTuple):
    """All checks of a kernel.

    Attributes:
        kernel: Its name.
        exact: Whether it claims to leave its target exactly invariant.
        seeds: Which seeds were drawn from; none where nothing is random.
        rows: The checks.
    """

    kernel: str
    exact: bool
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]

    @property
    def failed(self) -> tuple[Row, ...]:
        """The claimed checks that did not hold."""
        return tuple(row for row in self.rows if row.binding and not row.passed)

    @property
    def verdict(self) -> str:
        """ "passed", "failed", or "inexact": as it says itself, this kernel has another law than its target's."""
        if self.failed:
            return "failed"
        return "passed" if self.exact else "inexact"

    @property
    def worst(self) -> Row:
        """The check that was furthest off in units of its limit, of the failed ones if there are any.

        Of a kernel that is not exact, the furthest from its target, whatever it claims.
        """
        judged = [row for row in self.rows if row.unit in ("sigma", "error")]
        return worst_of(list(self.failed) or (judged if self.exact else [r for r in judged if not r.binding]) or judged)

    def sentence(self) -> str:
        """The verdict with its figures."""
        sigmas = [abs(row.value) for row in self.rows if row.unit == "sigma" and row.binding]
        errors = [row.value for row in self.rows if row.unit == "error" and row.binding]
        parts = [f"{max(sigmas):.1f} sigma at most"] if sigmas else []
        parts += [f"an error of {max(errors):.0e} at most"] if errors else []
        worst = self.worst
        if self.failed:
            parts = [f"{worst.check} on {worst.target}: {figure(worst)} ({worst.statistic})"]
        elif not worst.binding:
            parts.append(f"{figure(worst)} off its target ({worst.target}), as it says")
        return f"{self.kernel}: {self.verdict}" + (f"; {', '.join(parts)}." if parts else ".")


def error(check: str, target: str, statistic: str, value: float, limit: float = ERROR, *, binding: bool = True) -> Row:
    """A row of an absolute error."""
    return Row(check, target, statistic, float(value), limit, "error", bool(value < limit), binding)


def fact(check: str, target: str, statistic: str, holds: bool) -> Row:
    """A row of a yes or a no, as an error of 0 or 1."""
    return error(check, target, statistic, 0.0 if holds else 1.0, 0.5)


def sigmas(check: str, target: str, scores: dict[str, float], *, binding: bool = True) -> Row:
    """A row of the worst of several scores."""
    worst = max(scores, key=lambda name: abs(scores[name]) if scores[name] == scores[name] else np.inf)
    return Row(check, target, worst, scores[worst], SIGMAS, "sigma", bool(abs(scores[worst]) < SIGMAS), binding)


def worst_of(rows: list[Row]) -> Row:
    """Of one check over several seeds, the seed that was furthest off."""
    return max(rows, key=_badness)


def score(values: np.ndarray, exact: float = 0.0) -> float:
    """Standard errors between the mean of independent values and the truth; infinite where one is not finite."""
    if not np.all(np.isfinite(values)):
        return float("inf")
    spread = values.std(ddof=1) / np.sqrt(len(values))
    # the truth and the draws are in single precision: a difference below its rounding is none
    return float((values.mean() - exact) / max(spread, 1e-7 * max(abs(exact), 1e-3)))


def figure(row: Row) -> str:
    """The value of a row in words."""
    if not np.isfinite(row.value):
        return "not finite"
    if row.unit == "sigma":
        return f"{abs(row.value):.1f} sigma"
    return f"{row.value:.1e}" if row.unit == "error" else f"{100 * row.value:.2g} % of the variance"


def limit(row: Row) -> str:
    """The limit of a row in words."""
    if row.unit == "share":
        return f"at least {100 * row.limit:g} %"
    return f"at most {row.limit:g}" + (" sigma" if row.unit == "sigma" else "")


def _badness(row: Row) -> float:
    ratio = row.limit / max(row.value, 1e-300) if row.unit == "share" else abs(row.value) / row.limit
    return ratio if ratio == ratio else np.inf
