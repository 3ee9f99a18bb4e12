"""Arguments that several commands share, and what the shell completes for them."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_ROOT = Path("runs")


def complete_recipe(incomplete: str) -> list[str]:
    """Names of shipped recipes, and of toys; nothing heavy is imported for a press of the tab key."""
    files_there = (entry.name for entry in (files("energax") / "runtime" / "recipes").iterdir())
    names = {name.removesuffix(".yaml") for name in files_there if name.endswith(".yaml")}
    names |= {name.removesuffix("-pcd") for name in names if name.endswith("-pcd")}  # a toy's bare name is one too
    return sorted(name for name in names if name.startswith(incomplete))


def complete_run(incomplete: str) -> list[str]:
    """Folders of runs under ./runs, newest first, and `latest`."""
    folders = sorted((p.parent.name for p in DEFAULT_ROOT.glob("*/run.json")), reverse=True)
    return [name for name in ("latest", *folders) if name.startswith(incomplete)]


def complete_override(incomplete: str) -> list[str]:
    """Dotted keys of a recipe, each with its equals sign."""
    from energax.runtime.config import known_keys

    return [key + "=" for key in known_keys() if key.startswith(incomplete)]


Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Settings on top of the recipe, such as [cyan]training.steps=2000[/cyan].",
        autocompletion=complete_override,
        show_default=False,
    ),
]
Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run folder, the beginning of its name, or [cyan]latest[/cyan].",
        autocompletion=complete_run,
        show_default=False,
    ),
]
Root = Annotated[Path, typer.Option("--root", help="The folder that holds the run folders.")]
Device = Annotated[str | None, typer.Option("--device", help="cpu, gpu or tpu; JAX chooses if left out.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show nothing but alarms and the result.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for scripts.")]


def find(root: Path, name: str) -> Path:
    """The run folder that a word names."""
    from energax.runtime.folder import find_run

    return find_run(root, name)
