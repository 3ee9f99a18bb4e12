"""`energax physics`: a model of statistical physics at a row of temperatures, beside the exact curve."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .outcome import FAILED, print_json
from .words import DEFAULT_ROOT, Device, Json

app = typer.Typer(help="Sweep a model of statistical physics over temperatures, beside its exact answers.")

Beta = Annotated[
    str,
    typer.Option(
        "--beta",
        metavar="LOW:HIGH:NUM",
        help="Inverse temperatures in units of 1/J: a number, a list 0.3,0.4, or low:high:number.",
    ),
]
Chains = Annotated[int, typer.Option(min=2, help="Independent systems at each temperature.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="The folder to write to (runs/physics-... if left out).")]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Other seeds give independent estimates.")]
MOST_OFF = 5.0
"""Standard errors from an exact value beyond which the sweep is called wrong."""


@app.command()
def ising(
    size: Annotated[int, typer.Option(min=2, help="Side of the square torus.")] = 32,
    beta: Beta = "0.30:0.60:13",
    chains: Chains = 32,
    sweeps: Annotated[int, typer.Option(min=20, help="Sweeps that are measured.")] = 4000,
    burn_in: Annotated[int, typer.Option(min=0, help="Sweeps before.")] = 1000,
    thin: Annotated[int, typer.Option(min=1, help="Sweeps a measurement.")] = 5,
    seed: Seed = 0,
    out: Out = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """The Ising model of a square torus by local updates (32 spins a word), beside Kaufman's exact answers."""
    betas = parse_betas(beta)

    import jax

    from energax.evaluation.temperature_sweep import ising_curves, ising_sweep
    from energax.runtime import backend

    backend.start(device)
    rows = ising_sweep(jax.random.key(seed), size, betas, chains=chains, sweeps=sweeps, burn_in=burn_in, thin=thin)
    from energax.energies import ISING_CRITICAL_COUPLING

    finish(
        rows,
        ising_curves(size, min(betas), max(betas)),
        ("energy", "specific_heat", "abs_magnetisation", "binder"),
        title=f"Ising model, {size} x {size} torus, {chains} chains of {sweeps:,} sweeps",
        folder=out or DEFAULT_ROOT / f"physics-ising-{size}",
        facts={"model": "ising", "size": size, "chains": chains, "sweeps": sweeps, "burn_in": burn_in, "seed": seed},
        critical=ISING_CRITICAL_COUPLING,
        as_json=as_json,
    )


def parse_betas(text: str) -> list[float]:
    """`0.3`, `0.3,0.4` or `0.3:0.6:13` as numbers > 0.

    Raises:
        ConfigError: It is none of these.
    """
    from energax.errors import ConfigError

    try:
        if ":" in text:
            low, high, num = text.split(":")
            steps = int(num)
            width = (float(high) - float(low)) / max(steps - 1, 1)
            betas = [float(low) + width * i for i in range(steps)]
        else:
            betas = [float(word) for word in text.split(",")]
    except ValueError:
        betas = []
    if not betas or not all(0.0 < beta < float("inf") for beta in betas):
        raise ConfigError(f"--beta must be numbers > 0, such as 0.44, 0.3,0.4 or 0.30:0.60:13; got {text!r}.")
    return betas


def finish(
    rows: list[Any],
    curves: list[Any],
    shown: tuple[str, ...],
    *,
    title: str,
    folder: Path,
    facts: dict[str, Any],
    critical: float | None,
    as_json: bool,
) -> None:
    """Writes the files, prints the table, and fails where an estimate contradicts an exact value."""
    from energax.report.physics import as_dict, write_sweep

    paths = write_sweep(folder, title, rows, curves, shown, facts, critical)
    worst = max((abs(off) for row in rows for off in row.deviations().values()), default=0.0)
    if as_json:
        print_json({"rows": [as_dict(row) for row in rows], "files": paths, "worst_sigma": worst})
    else:
        typer.echo(title)
        for line in table(rows, shown):
            typer.echo(line)
        checked = sum(len(row.deviations()) for row in rows)
        if checked:
            typer.echo(f"Of {checked} estimates with an exact value the worst is {worst:.1f} standard errors off.")
        if critical is not None:
            typer.echo(f"Critical point of the infinite lattice: beta = {critical:.6f}.")
        typer.echo(f"Wrote {', '.join(str(path) for path in paths.values())}")
    if worst > MOST_OFF:
        raise typer.Exit(FAILED)


def table(rows: list[Any], shown: tuple[str, ...]) -> list[str]:
    """Temperatures as lines: estimate and error bar, the exact value behind it, `?` where draws are too few."""
    cells = [["beta", *(name for name in shown for _ in (0, 1))]]
    cells[0] = ["beta"] + [word for name in shown for word in (name.replace("_", " "), "exact")] + ["tau"]
    for row in rows:
        line = [f"{row.beta:.4f}"]
        for name in shown:
            found, known = row.observables[name], row.exact.get(name)
            doubt = "" if found.reliable else " ?"
            line.append(f"{found.value:.4f} +- {found.std_error:.4f}{doubt}")
            line.append("" if known is None else f"{known.value:.4f}{'' if known.of == 'this lattice' else ' (inf)'}")
        line.append(f"{max(row.observables[name].autocorrelation_time for name in shown):.1f}")
        cells.append(line)
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return ["  ".join(word.rjust(width) for word, width in zip(line, widths, strict=True)) for line in cells]
