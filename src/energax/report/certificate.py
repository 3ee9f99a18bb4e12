"""Certificates as lines for a terminal, as a table for a page, and as plain values."""

from collections.abc import Sequence
from typing import Any

from energax.evaluation import Certificate, Row
from energax.evaluation.certificate import figure, limit


def lines(certificate: Certificate, *, whole: bool) -> list[str]:
    """The verdict, and below it every check, or (`whole` being False) those that failed."""
    rows = certificate.rows if whole else certificate.failed
    cells = [(row.check, row.target, row.statistic, figure(row), f"({limit(row)})", _mark(row)) for row in rows]
    widths = [max((len(line[i]) for line in cells), default=0) for i in range(6)]
    table = ["  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return [certificate.sentence(), *("  " + line for line in table)]


def markdown(certificates: Sequence[Certificate]) -> str:
    """One line a kernel."""
    head = ["| kernel | checks | seeds | worst | where | verdict |", "|---|---:|---:|---|---|---|"]
    return "\n".join(head + [_line(each) for each in certificates])


def as_dict(certificate: Certificate) -> dict[str, Any]:
    """All of it as plain values, for JSON."""
    return {
        "kernel": certificate.kernel,
        "verdict": certificate.verdict,
        "exact": certificate.exact,
        "sentence": certificate.sentence(),
        "seeds": list(certificate.seeds),
        "rows": [row._asdict() for row in certificate.rows],
    }


def _line(certificate: Certificate) -> str:
    row = certificate.worst
    seeds = str(len(certificate.seeds)) if certificate.seeds else "none needed"
    words = [
        f"`{certificate.kernel}`",
        str(len(certificate.rows)),
        seeds,
        figure(row),
        f"{row.check}, {row.target}: {row.statistic}".replace("|", "\\|"),
        certificate.verdict if certificate.verdict != "failed" else "**failed**",
    ]
    return f"| {' | '.join(words)} |"


def _mark(row: Row) -> str:
    if row.passed:
        return "ok"
    return "FAILED" if row.binding else "as it says"
