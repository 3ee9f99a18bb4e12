"""`energax audit`: every training method on the same problems at the same price, in one table."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .certify import parse_seeds
from .outcome import FAILED, print_json
from .words import Device, Json, Quiet


def audit(
    only: Annotated[
        str,
        typer.Option(
            "--only",
            "-o",
            metavar="PROBLEM/METHOD/SEED",
            help="Which cells: names with commas between, or * for all; [cyan]moons/pcd,nce/0[/cyan]. From the right, "
            "parts may be left out.",
        ),
    ] = "",
    listed: Annotated[bool, typer.Option("--list", help="Show problems and methods, and leave.")] = False,
    blind: Annotated[
        bool, typer.Option("--blindness", help="Draw what each rule sees of wrong masses of distant modes, and leave.")
    ] = False,
    budget: Annotated[
        int | None,
        typer.Option(min=1, help="Evaluations of the energy or its gradient that each run may spend (the problem's)."),
    ] = None,
    seeds: Annotated[str, typer.Option(metavar="N or A,B,...", help="How many seeds, or which.")] = "3",
    out: Annotated[Path, typer.Option("--out", help="The folder of the cells; what it holds is not run again.")] = Path(
        "runs/audit"
    ),
    device: Device = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train every method on problems with known answers, at one budget, and tell what each recovers."""
    numbers = parse_seeds(seeds)

    from energax.runtime import backend

    backend.start(device)
    if listed:
        show(as_json)
        return
    from energax import audit as rooms
    from energax.report.audit import grouped, write_audit, write_blindness

    if blind:
        out.mkdir(parents=True, exist_ok=True)
        paths = write_blindness(out)
        typer.echo(f"Wrote {', '.join(str(path) for path in paths.values())}")
        return

    wanted = [rooms.Cell(*each, budget) for each in rooms.cells(only, numbers)]

    def tell(cell: Any, row: Any, is_new: bool) -> None:
        if not (quiet or as_json):
            what = f"diverged: {row.why}" if row.diverged else _short(row)
            typer.echo(f"{cell.name:<40} {'' if is_new else 'kept: '}{what}")
            sys.stdout.flush()

    found = rooms.summarise(rooms.audit(out, wanted, tell=tell))
    paths = write_audit(out, found, {"budget": budget, "seeds": list(numbers)})
    if as_json:
        print_json({"rows": [each.as_dict() for each in found], "files": paths})
    else:
        for problem, group in grouped(found).items():
            tabulate(problem, group)
        typer.echo(f"Wrote {', '.join(str(path) for path in paths.values())}")
    if all(each.diverged == each.seeds for each in found):
        raise typer.Exit(FAILED)


def show(as_json: bool) -> None:
    """Problems and methods, a line each."""
    from energax.audit import methods, problems

    found = {"problems": problems(), "methods": methods()}
    if as_json:
        print_json({what: {name: each.TITLE for name, each in known.items()} for what, known in found.items()})
        return
    for what, known in found.items():
        typer.echo(f"{what}:")
        for name, each in known.items():
            typer.echo(f"  {name:<24}  {each.TITLE}")


def tabulate(problem: str, group: list[Any]) -> None:
    """One problem's table on the screen; the files have all columns."""
    from rich.console import Console
    from rich.table import Table

    from energax.report.audit import SHORT, cells

    heads, rows = cells(group, SHORT)
    table = Table(title=f"{problem} ({group[0].budget:,} evaluations, {group[0].seeds} seeds)", title_justify="left")
    for column, head in enumerate(heads):
        table.add_column(head, justify="right" if column else "left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _short(row: Any) -> str:
    names = [name for name in ("kl", "nll", "mass_error") if row.figures.get(name) is not None]
    return ", ".join(f"{name.replace('_', ' ')} {row.figures[name]:.4g}" for name in names)
