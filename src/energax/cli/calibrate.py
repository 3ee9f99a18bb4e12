"""`energax calibrate`: whether a classifier's probabilities mean what they say, before and after they are mended."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from .ood import aligned, read
from .outcome import print_json
from .words import Json


def calibrate(
    fit: Annotated[
        Path,
        typer.Option(
            "--fit",
            metavar="FILE",
            help="Rows that scaling is fitted to, held out from training: an .npz of [cyan]logits[/cyan], a row a "
            "sample, and [cyan]labels[/cyan], numbers from 0 (log-probabilities are logits).",
            show_default=False,
        ),
    ],
    test: Annotated[
        Path,
        typer.Option("--test", metavar="FILE", help="The same of other rows, to measure on.", show_default=False),
    ],
    methods: Annotated[
        str,
        typer.Option(
            "--methods", "-m", metavar="A,B,...", help="Some of temperature, vector, isotonic; all if left out."
        ),
    ] = "",
    bins: Annotated[int, typer.Option(min=1, help="Bins of the calibration errors and of the diagram.")] = 15,
    out: Annotated[Path, typer.Option("--out", help="The folder of table, figure, page and probabilities.")] = Path(
        "runs/calibration"
    ),
    as_json: Json = False,
) -> None:
    """Measure calibration (ECE, NLL, Brier, reliability) before and after temperature, vector and isotonic scaling."""
    from energax.evaluation.calibration import compare
    from energax.evaluation.calibration.compare import parameters
    from energax.report.calibration import FIGURES, rows, write_calibration

    sides = [*labelled(fit), *labelled(test)]
    names = tuple(dict.fromkeys(word.strip() for word in methods.split(",") if word.strip()))
    found, refused = compare(*sides, methods=names, bins=bins)
    facts = {
        "fit": str(fit),
        "test": str(test),
        "rows_fit": len(sides[0]),
        "rows_test": len(sides[2]),
        "bins": bins,
    }
    words = ["energax", "calibrate", "--fit", str(fit), "--test", str(test), "--bins", str(bins)]
    words += ["--methods", ",".join(names)] if names else []
    paths = write_calibration(out, found, refused, facts, shlex.join(words))
    if as_json:
        figures = {name: {m: dict(zip(("value", "error"), each.figures[m], strict=True)) for m in FIGURES}
                   for name, each in found.items()}  # fmt: skip
        print_json({**facts, "figures": figures, "parameters": parameters(found), "refused": refused, "files": paths})
        return
    for line in aligned(rows(found)):
        typer.echo(line)
    if "temperature" in found:
        typer.echo(f"The best temperature is {found['temperature'].scaling.temperature:.4f}.")
    for name, why in refused.items():
        typer.echo(f"- no {name}: {why}")
    typer.echo(f"Wrote {', '.join(str(path) for path in paths.values())}")


def labelled(path: Path) -> tuple[Any, Any]:
    """(logits, labels) of a file.

    Raises:
        DataError: The file is missing or damaged, or lacks one of the two.
    """
    from energax.errors import DataError

    arrays = read(path)
    for name in ("logits", "labels"):
        if name not in arrays:
            raise DataError(f"{path} must hold an array {name!r}; got {', '.join(sorted(arrays))}.")
    return arrays["logits"], arrays["labels"]
