"""`energax runs`: the table of runs."""

import typer

from .outcome import print_json
from .words import DEFAULT_ROOT, Json, Root


def runs(root: Root = DEFAULT_ROOT, as_json: Json = False) -> None:
    """List the runs, oldest first."""
    from energax.runtime.folder import list_runs

    found = list_runs(root)
    if as_json:
        print_json(found)
        return
    if not found:
        typer.echo(f"No runs under {root}. Start one: energax train digits")
        return

    from pathlib import Path

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("run", "status", "steps", "seconds", "seed", "device", box=None, pad_edge=False)
    colours = {"done": "green", "running": "cyan", "stopped": "yellow", "diverged": "red", "failed": "red"}
    for run in found:
        status = str(run.get("status", "?"))
        table.add_row(
            escape(Path(run["folder"]).name),
            f"[{colours.get(status, 'dim')}]{escape(status)}[/]",
            escape(f"{run.get('steps_done', '?')}/{run.get('steps_asked', '?')}"),
            escape(str(run.get("seconds", ""))),
            escape(str(run.get("seed", ""))),
            escape(str(run.get("device", ""))),
        )
    console = Console()
    if not console.is_terminal:
        console.width = 240  # in a pipe no name may be cut
    console.print(table)
