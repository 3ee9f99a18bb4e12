"""What is asked of a trained run: samples, measurements, the report."""

import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .outcome import print_json
from .words import DEFAULT_ROOT, Device, Json, Quiet, Root, Run, find


def sample(
    run: Run,
    num: Annotated[int, typer.Option("--num", "-n", min=2, help="How many samples, one a chain.")] = 100,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Other seeds give other draws.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="An .npz to copy them to.")] = None,
    root: Root = DEFAULT_ROOT,
    device: Device = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Draw samples from a trained model into samples.npz of its run folder."""
    folder = find(root, run)
    if out is not None and out.suffix != ".npz":
        from energax.errors import ConfigError

        raise ConfigError(f"--out must end in .npz; got {str(out)!r}.")

    from energax.runtime import backend, use

    backend.start(device)
    arrays = use.sample(folder, num, seed=seed, display=_display(quiet, as_json))
    target = folder / use.SAMPLES
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(target, out)
        target = out
    if as_json:
        print_json({"file": target, "arrays": {name: list(values.shape) for name, values in arrays.items()}})
        return
    typer.echo(f"Wrote {', '.join(f'{name} {list(values.shape)}' for name, values in arrays.items())} to {target}")


def evaluate(
    run: Run, root: Root = DEFAULT_ROOT, device: Device = None, quiet: Quiet = False, as_json: Json = False
) -> None:
    """Measure a trained model again: log Z, held-out likelihood, samples, foreign data, chains."""
    folder = find(root, run)

    from energax.runtime import backend
    from energax.runtime.run import evaluate as measure

    backend.start(device)
    found = measure(folder, display=_display(quiet, as_json))
    if as_json:
        print_json(found)
        return
    for line in summary(found):
        typer.echo(line)


def report(run: Run, root: Root = DEFAULT_ROOT, as_json: Json = False) -> None:
    """Write a run's HTML report again and print its path."""
    folder = find(root, run)

    from energax.report import write_report

    page = write_report(folder)
    if as_json:
        print_json({"run": folder, "report": page})
        return
    typer.echo(str(page.resolve()))


def _display(quiet: bool, as_json: bool) -> Any:
    from energax.runtime.display import choose

    return choose(quiet or as_json, sys.stdout)


def _say(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def log_z_lines(table: dict[str, Any]) -> list[str]:
    """log Z as a reader wants it: each run with its error and effective sample size, then the bracket."""
    lines = []
    for row in [*(table.get("forward") or []), *(table.get("reverse") or [])]:
        error = f"+- {_say(row.get('se'))} nats (ESS {_say(row.get('ess'))})"
        lines.append(f"{row.get('label', 'run')}: {_say(row.get('estimate'))} {error}")
    if table.get("bracket"):
        low, high = table["bracket"]
        agree = "agree" if table.get("agree") else "DISAGREE: do not trust either"
        lines.append(f"log Z between {_say(low)} and {_say(high)} nats; the two sides {agree}")
    if table.get("exact") is not None:
        lines.append(f"exact: {_say(table['exact'])} nats")
    return lines


def summary(found: dict[str, Any]) -> list[str]:
    """An evaluation in a few lines; all of it is in evaluation.json."""
    lines = log_z_lines(found.get("log_z") or {})
    likelihood = found.get("likelihood") or {}
    if "nll_test" in likelihood:
        units = likelihood.get("units", "nats")
        lines.append(f"held-out NLL {_say(likelihood['nll_test'])} +- {_say(likelihood.get('nll_test_se'))} {units}")
        for name, row in (likelihood.get("baselines") or {}).items():
            lines.append(f"  beside {name}: {_say(row.get('nll_test') if isinstance(row, dict) else row)}")
    for name, row in (found.get("ood") or {}).items():
        scores = ", ".join(f"{who} {_say(each.get('auroc'))}" for who, each in row.items())
        lines.append(f"told from {name} (AUROC): {scores}")
    chains = found.get("chains") or {}
    if "rhat_max" in chains:
        lines.append(
            f"chains: worst R-hat {_say(chains['rhat_max'])}, least bulk ESS {_say(chains.get('ess_bulk_min'))}"
        )
    density = found.get("density2d") or found.get("states") or {}
    if "kl_true_model" in density:
        how = "by quadrature" if "density2d" in found else "over all states"
        lines.append(f"KL(true || model) {how}: {_say(density['kl_true_model'])} nats")
    return lines
