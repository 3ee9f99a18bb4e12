"""`energax logz`: one log Z by many estimators on one path, what each cost, and whether they agree."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .outcome import FAILED, print_json
from .words import DEFAULT_ROOT, Device, Json, Quiet, Root, complete_run, find

MOST_OFF = 5.0
"""Standard errors from an exact value beyond which an estimate is called wrong."""


def logz(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="A name that [cyan]--list[/cyan] shows, a run folder, the beginning of its name, or "
            "[cyan]latest[/cyan].",
            autocompletion=complete_run,
            show_default=False,
        ),
    ] = None,
    estimators: Annotated[
        list[str] | None,
        typer.Option("--estimators", "-e", help="ais,smc,...; all that can run on the model's path if left out."),
    ] = None,
    temperatures: Annotated[
        int | None,
        typer.Option("--temperatures", "-t", min=3, help="Length of the schedule (the model's if left out)."),
    ] = None,
    chains: Annotated[
        int | None, typer.Option(min=8, help="Chains of each estimator (the model's if left out).")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Kernel steps at each temperature.")] = 1,
    kernel: Annotated[
        str | None, typer.Option(help="mala, hmc, barker, random-walk; gibbs or block-gibbs for bits and spins.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Other seeds give independent estimates.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder to write to (runs/logz-... or the run's logz).")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Show the models that have a name, and leave.")] = False,
    root: Root = DEFAULT_ROOT,
    device: Device = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Estimate log Z by many estimators on one path: error bars, work spent, and whether they agree."""
    if listed:
        show(as_json)
        return
    if model is None:
        from energax.errors import ConfigError

        raise ConfigError("MODEL must be a name that --list shows, or a run; got none.")
    names = parse_estimators(estimators)

    from energax.runtime import backend
    from energax.runtime.display import choose
    from energax.runtime.models import kernel_of, weigh

    backend.start(device)
    display = choose(quiet or as_json, sys.stdout)
    problem, folder = find_model(model, root, display)
    kernel = kernel_of(problem, kernel)
    display.say(f"Measuring log Z of {problem.title} ...")
    found = weigh(
        problem, estimators=names, kernel=kernel, chains=chains, temperatures=temperatures, steps=steps, seed=seed
    )
    facts = {
        "model": problem.name,
        "how": problem.how,
        "kernel": kernel,
        "chains": chains or problem.chains,
        "temperatures": temperatures or problem.temperatures,
        "steps_per_temperature": steps,
        "seed": seed,
    }
    finish(found, problem.title, out or folder, facts, as_json)


def show(as_json: bool) -> None:
    """The models that have a name."""
    from energax.runtime.catalogue import CATALOGUE

    if as_json:
        print_json([{"name": name, "title": title} for name, (title, _) in CATALOGUE.items()])
        return
    width = max(len(name) for name in CATALOGUE)
    for name, (title, _) in CATALOGUE.items():
        typer.echo(f"{name:<{width}}  {title}")


def parse_estimators(words: list[str] | None) -> tuple[str, ...] | None:
    """`ais,reverse-ais` and repeated options as names; None where there are none.

    Raises:
        ConfigError: A name is none of an estimator's.
    """
    if not words:
        return None
    from energax.errors import ConfigError, did_you_mean
    from energax.free_energy.ledger import ESTIMATORS

    names = [name.strip().replace("-", " ") for word in words for name in word.split(",")]
    for name in names:
        if name not in ESTIMATORS:
            raise ConfigError(
                f"--estimators must be some of {', '.join(ESTIMATORS)}; got {name!r}.{did_you_mean(name, ESTIMATORS)}"
            )
    return tuple(dict.fromkeys(names))


def find_model(name: str, root: Path, display: Any) -> tuple[Any, Path]:
    """(the model, the folder for its files): of the catalogue, else a run's.

    Raises:
        ConfigError: It is neither.
    """
    from energax.errors import ConfigError, did_you_mean
    from energax.runtime import use
    from energax.runtime.catalogue import CATALOGUE, known

    model = known(name)
    if model is not None:
        return model, root / f"logz-{name}"
    try:
        folder = find(root, name)
    except ConfigError as error:
        hint = did_you_mean(name, CATALOGUE)
        raise ConfigError(f"MODEL must be a name that --list shows, or a run; {error}{hint}") from None
    return use.trained(folder, display=display), folder / "logz"


def finish(found: Any, title: str, folder: Path, facts: dict[str, Any], as_json: bool) -> None:
    """Writes the files, prints the table, and fails where estimates contradict each other or the exact value."""
    from energax.report.ledger import table, write_ledger

    paths = write_ledger(folder, title, found, facts)
    off = found.deviations()
    worst = max((abs(value) for value in off.values()), default=0.0)
    if as_json:
        print_json({**facts, **found.as_dict(), "worst_sigma": worst if off else None, "files": paths})
    else:
        typer.echo(title)
        for line in [*table(found), *told(found, facts, off, worst)]:
            typer.echo(line)
        typer.echo(f"Wrote {', '.join(str(path) for path in paths.values())}")
    if worst > MOST_OFF or not found.agree:
        raise typer.Exit(FAILED)


def told(found: Any, facts: dict[str, Any], off: dict[str, float], worst: float) -> list[str]:
    """What stands below the table: preparation, the exact value, the bracket, the verdict."""
    costs = [f"{what} {cost.energies:,} energies and {cost.gradients:,} gradients" for what, cost in found.preparation]
    lines = [f"Before that, for all: {'; '.join(costs)}."]
    if found.exact is not None:
        said = f"exact ({facts['how']}): log Z = {found.exact:.4f}"
        lines.append(f"{said}; of {len(off)} estimates the worst is {worst:.1f} standard errors off." if off else said)
    names = {each.name: each for each in found.accounts}
    if {"ais", "reverse ais"} <= set(names):
        low, high = names["ais"].low, names["reverse ais"].high
        lines.append(f"Bracket: log Z between {min(low, high):.3f} and {max(low, high):.3f} nats.")
    judged = [each for each in found.accounts if not each.weak]
    if found.agree:
        lines.append(f"{len(judged)} estimates agree within {found.threshold:g} joint standard errors.")
    elif judged:
        lines.append("The estimates DISAGREE: trust none before it is known why.")
    return lines + [f"- {sentence}" for sentence in found.verdict]
