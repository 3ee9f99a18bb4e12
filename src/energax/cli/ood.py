"""`energax ood`: how well scores of a classifier, or of a trained energy, tell foreign samples from known ones."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from .outcome import print_json
from .words import Json

HEAD = ("weight", "bias")


def _listed(asked: bool) -> None:
    if asked:
        from energax.evaluation.ood import detectors

        for name, each in detectors().items():
            learns = f"; learns from {', '.join(each.learns)}" if each.learns else ""
            typer.echo(f"{name:<21}  {each.title} ({', '.join(each.reads)}{learns})")
        raise typer.Exit()


def ood(
    known: Annotated[
        Path,
        typer.Option(
            "--id",
            metavar="FILE",
            help="Held-out samples of what the model knows: an .npz of [cyan]logits[/cyan], [cyan]features[/cyan] "
            "(what the last layer reads), [cyan]energy[/cyan] and [cyan]background[/cyan] (of trained energies), or "
            "[cyan]score[/cyan] (your own, high is unusual); an .npy is logits.",
            show_default=False,
        ),
    ],
    foreign: Annotated[
        list[Path],
        typer.Option("--ood", metavar="FILE", help="The same of samples that it does not know; may be repeated."),
    ],
    train: Annotated[
        Path | None,
        typer.Option(
            "--train",
            metavar="FILE",
            help="The same of training data, with [cyan]labels[/cyan]; [cyan]weight[/cyan] and [cyan]bias[/cyan] of "
            "the last layer may lie here or with --id.",
        ),
    ] = None,
    scores: Annotated[
        str, typer.Option("--scores", metavar="A,B,...", help="Which scores; all that the arrays allow if left out.")
    ] = "",
    listed: Annotated[
        bool,
        typer.Option("--list", callback=_listed, is_eager=True, help="Show the scores with their arrays, and leave."),
    ] = False,
    temperature: Annotated[float, typer.Option(help="Of softmax and energy, > 0.")] = 1.0,
    neighbour: Annotated[int, typer.Option("--neighbour", min=1, help="Which nearest neighbour counts in knn.")] = 50,
    bootstrap: Annotated[int, typer.Option(min=10, help="Resamples of each interval.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Of the intervals.")] = 0,
    out: Annotated[Path, typer.Option("--out", help="The folder of table, figure and page.")] = Path("runs/ood"),
    as_json: Json = False,
) -> None:
    """Tell foreign samples from known ones: AUROC, AUPR and FPR95 of every score, with intervals and histograms."""
    from energax.evaluation.ood import compare, detectors
    from energax.report.ood import write_ood

    shipped = detectors(temperature=temperature, k=neighbour)
    ours = read(known)
    theirs = named(foreign)
    learnt = {name: ours[name] for name in HEAD if name in ours} | (read(train) if train else {})
    names = tuple(dict.fromkeys(word.strip() for word in scores.split(",") if word.strip()))
    found = compare(shipped, ours, theirs, learnt, names=names, seed=seed, num_bootstrap=bootstrap)
    facts = {
        "id": str(known),
        "ood": [str(path) for path in foreign],
        "train": str(train) if train else None,
        "temperature": temperature,
        "neighbour": neighbour,
        "bootstrap": bootstrap,
        "seed": seed,
    }
    words = ["energax", "ood", "--id", str(known), *(word for path in foreign for word in ("--ood", str(path)))]
    words += [*(["--train", str(train)] if train else []), "--temperature", f"{temperature:g}", "--seed", str(seed)]
    words += ["--neighbour", str(neighbour), "--bootstrap", str(bootstrap), "--scores", ",".join(found.found)]
    paths = write_ood(out, found, shipped, facts, shlex.join(words))
    if as_json:
        table = {name: {label: each.as_dict() for label, each in row.items()} for name, row in found.found.items()}
        print_json({**facts, "scores": table, "left_out": found.left_out, "files": paths})
        return
    show(found)
    typer.echo(f"Wrote {', '.join(str(path) for path in paths.values())}")


def read(path: Path) -> dict[str, Any]:
    """The arrays of a file: those of an .npz by their names, an .npy as logits.

    Raises:
        DataError: The file is missing, damaged, or of another kind.
    """
    from energax.data.npy_file import read as one, read_archive
    from energax.errors import DataError

    if path.suffix not in (".npz", ".npy"):
        raise DataError(
            f"{path} must be an .npz of named arrays, or an .npy of logits; got the ending {path.suffix!r}."
        )
    if not path.is_file():
        raise DataError(f"{path} must be a file; there is none.")
    return read_archive(path) if path.suffix == ".npz" else {"logits": one(path)}


def named(paths: list[Path]) -> dict[str, dict[str, Any]]:
    """Arrays of each file under the file's name, under its path where two have one name."""
    stems = [path.stem for path in paths]
    return {path.stem if stems.count(path.stem) == 1 else str(path): read(path) for path in paths}


def show(found: Any) -> None:
    """The tables, and what was left out and why."""
    from energax.report.ood import HEADS, rows

    for label in next(iter(found.found.values())):
        typer.echo(label)
        for line in aligned([HEADS, *rows(found, label)]):
            typer.echo(f"  {line}")
    for name, why in found.left_out.items():
        typer.echo(f"- no {name}: {why}")


def aligned(rows: list[Any]) -> list[str]:
    """Rows of words as lines, the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(w.rjust(n) for w, n in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in rows
    ]
