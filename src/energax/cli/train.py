"""`energax train` and `energax resume`: a run from its recipe, or on from its newest checkpoint, to its report."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .outcome import print_json
from .words import DEFAULT_ROOT, Device, Json, Overrides, Quiet, Root, Run, complete_recipe, find

Recipe = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE",
        help="A name that [cyan]energax recipes[/cyan] lists, a toy's name, or a YAML file.",
        autocompletion=complete_recipe,
        show_default=False,
    ),
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="The folder to put the run folder in (the recipe's: runs).")
]


def train(
    recipe: Recipe,
    overrides: Overrides = None,
    out: Out = None,
    device: Device = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a recipe, measure the result, and write a report.

    [dim]energax train digits[/dim]
    [dim]energax train moons objective=nce[/dim]
    [dim]energax train moons-pcd training.steps=1000 sampler.step_size=0.02 seed=1[/dim]
    """
    from energax.runtime.config import resolve

    words = list(overrides or ())
    if out is not None:
        words.append(f"out={json.dumps(str(out))}")  # JSON text is YAML text: spaces and colons stay what they are
    config = resolve(recipe, words)

    from energax.runtime import backend, run

    backend.start(device)
    display = _display(quiet, as_json)
    _to_the_end(lambda: run.train(config, display=display, argv=[recipe, *words]), display, as_json)


def resume(
    run: Run = "latest", root: Root = DEFAULT_ROOT, device: Device = None, quiet: Quiet = False, as_json: Json = False
) -> None:
    """Go on with a stopped run from its newest sound checkpoint, as if it had never stopped."""
    folder = find(root, run)

    from energax.runtime import backend, run as runs

    backend.start(device)
    display = _display(quiet, as_json)
    _to_the_end(lambda: runs.resume(folder, display=display), display, as_json)


def _display(quiet: bool, as_json: bool) -> Any:
    from energax.runtime.display import choose

    return choose(quiet, sys.stderr if as_json else sys.stdout)


def _to_the_end(work: Any, display: Any, as_json: bool) -> None:
    """Runs to the report; a signal's stop ends with its own exit code, after the state is saved."""
    from energax.runtime.config import read
    from energax.runtime.run import Stopped

    try:
        folder = work()
    except Stopped as stopped:
        typer.secho(str(stopped), fg=typer.colors.YELLOW, err=True)
        if as_json:
            print_json({"run": stopped.folder, "status": "stopped", "report": None})
        raise typer.Exit(stopped.exit_code) from None
    finally:
        display.close()
    page = None
    if read(folder / "config.yaml").report:
        from energax.report import write_report

        display.say("Writing the report ...")
        page = write_report(folder)
    if as_json:
        print_json({"run": folder, "status": "done", "report": page})
        return
    typer.echo(f"Run:    {folder}")
    if page is not None:
        typer.echo(f"Report: {page.resolve()}")
