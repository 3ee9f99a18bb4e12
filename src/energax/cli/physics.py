"""`energax physics`: a model of statistical physics at a row of temperatures, beside the exact curve."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from .outcome import FAILED, print_json
from .words import DEFAULT_ROOT, Device, Json

app = typer.Typer(help="Sweep a model of statistical physics over temperatures, beside its exact answers.")

Beta = Annotated[
    str,
    typer.Option(
        "--beta",
        metavar="LOW:HIGH:NUM",
        help="Inverse temperatures, for lattices in units of 1/J: a number, a list 0.3,0.4, or low:high:number.",
    ),
]
Size = Annotated[int, typer.Option(min=2, help="Side of the square torus.")]
Chains = Annotated[int | None, typer.Option(min=2, help="Independent systems at each temperature.")]
Sweeps = Annotated[
    int | None, typer.Option(min=4, help="Sweeps that are measured, a multiple of --thin, four times it at least.")
]
BurnIn = Annotated[int | None, typer.Option(min=0, help="Sweeps before.")]
Thin = Annotated[int | None, typer.Option(min=1, help="Sweeps a measurement.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="The folder to write to (runs/physics-... if left out).")]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Other seeds give independent estimates.")]
BARS = "bars-and-stripes"
MOST_OFF = 5.0
"""Standard errors from an exact value beyond which the sweep is called wrong."""


class Move(StrEnum):
    """How a lattice is moved."""

    local = "local"
    cluster = "cluster"
    wolff = "wolff"


WORDS = {Move.local: "local sweeps", Move.cluster: "cluster sweeps", Move.wolff: "single-cluster steps"}


class Plan(NamedTuple):
    """How much is run at each temperature."""

    chains: int
    sweeps: int
    burn_in: int
    thin: int


PLANS = {
    "multispin": Plan(chains=32, sweeps=4000, burn_in=1000, thin=5),
    "local": Plan(chains=16, sweeps=4000, burn_in=1000, thin=10),
    "cluster": Plan(chains=16, sweeps=500, burn_in=100, thin=1),
    "wolff": Plan(chains=16, sweeps=2000, burn_in=500, thin=4),
    "tempering": Plan(chains=32, sweeps=2000, burn_in=500, thin=2),
}
"""By move: what `--chains`, `--sweeps`, `--burn-in` and `--thin` are if left out."""


@app.command()
def ising(
    size: Size = 32,
    beta: Beta = "0.30:0.60:13",
    move: Annotated[
        Move, typer.Option(help="local: heat bath, 32 spins a word. cluster: Swendsen-Wang. wolff: one cluster a step.")
    ] = Move.local,
    chains: Chains = None,
    sweeps: Sweeps = None,
    burn_in: BurnIn = None,
    thin: Thin = None,
    seed: Seed = 0,
    out: Out = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """The Ising model of a square torus by local or cluster moves, beside Kaufman's and Yang's exact answers."""
    betas = parse_betas(beta)
    plan = planned("multispin" if move == Move.local else move.value, chains, sweeps, burn_in, thin)

    import jax

    from energax.evaluation.ising_transition import ising_curves, ising_sweep
    from energax.runtime import backend

    backend.start(device)
    rows = ising_sweep(jax.random.key(seed), size, betas, move=move.value, **plan._asdict())
    from energax.energies import ISING_CRITICAL_COUPLING

    finish(
        rows,
        ising_curves(size, min(betas), max(betas)),
        ("energy", "specific_heat", "abs_magnetisation", "binder"),
        title=f"Ising model, {size} x {size} torus, {plan.chains} chains of {plan.sweeps:,} {WORDS[move]}",
        folder=out or DEFAULT_ROOT / f"physics-ising-{size}",
        facts={"model": "ising", "size": size, "move": move.value, **plan._asdict(), "seed": seed},
        critical=ISING_CRITICAL_COUPLING,
        as_json=as_json,
    )


@app.command()
def potts(
    states: Annotated[int, typer.Option(min=2, help="States of a site.")] = 3,
    size: Size = 32,
    beta: Beta = "0.90:1.10:11",
    move: Annotated[
        Move, typer.Option(help="cluster: Swendsen-Wang. local: heat bath by colours. wolff: one cluster a step.")
    ] = Move.cluster,
    chains: Chains = None,
    sweeps: Sweeps = None,
    burn_in: BurnIn = None,
    thin: Thin = None,
    seed: Seed = 0,
    out: Out = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """The Potts model of a square torus by cluster or local moves, beside what is known exactly."""
    betas = parse_betas(beta)
    plan = planned(move.value, chains, sweeps, burn_in, thin)

    import jax

    from energax.evaluation.potts_transition import MOST_ROWS, potts_curves, potts_sweep
    from energax.runtime import backend

    backend.start(device)
    rows = potts_sweep(jax.random.key(seed), size, states, betas, move=move.value, **plan._asdict())
    from energax.energies import potts_critical_coupling, potts_critical_energy

    critical = potts_critical_coupling(states)
    notes = [f"There the energy per site of the infinite lattice is {potts_critical_energy(states) / critical:.6f} J."]
    if states > 4:
        notes[0] = notes[0][:-1] + ", the mean of the two phases that coexist."
    if not rows[0].exact:
        notes.append(
            f"This torus is too large for its transfer matrix ({states}^{size} rows, at most {MOST_ROWS:,}): only the "
            "critical point of the infinite lattice is exact."
        )
    finish(
        rows,
        potts_curves(size, states, min(betas), max(betas)),
        ("energy", "specific_heat", "order_parameter", "order_susceptibility", "order_binder", "alignment"),
        title=f"{states}-state Potts model, {size} x {size} torus, {plan.chains} chains of {plan.sweeps:,} "
        f"{WORDS[move]}",
        folder=out or DEFAULT_ROOT / f"physics-potts-{states}-{size}",
        facts={"model": "potts", "states": states, "size": size, "move": move.value, **plan._asdict(), "seed": seed},
        critical=critical,
        notes=notes,
        as_json=as_json,
    )


@app.command()
def rbm(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="[cyan]bars-and-stripes[/cyan], or an .npz file with the arrays weights (visible, hidden), "
            "visible_bias and hidden_bias.",
        ),
    ] = BARS,
    beta: Beta = "0.1:1.5:15",
    levels: Annotated[int, typer.Option(min=2, help="Temperatures of the tempering, at least.")] = 16,
    chains: Chains = None,
    sweeps: Sweeps = None,
    burn_in: BurnIn = None,
    thin: Thin = None,
    seed: Seed = 0,
    out: Out = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """A restricted Boltzmann machine's modes across temperatures by parallel tempering, beside exact sums."""
    betas = parse_betas(beta)
    plan = planned("tempering", chains, sweeps, burn_in, thin)
    name, machine = load_machine(model)

    import jax

    from energax.evaluation.rbm_tempering import rbm_curves, rbm_sweep
    from energax.report.rbm_modes import paint_occupancies, paint_projections, paint_swaps
    from energax.runtime import backend

    backend.start(device)
    found = rbm_sweep(jax.random.key(seed), machine, betas, levels=levels, **plan._asdict())
    coldest = max(found.rows, key=lambda row: row.beta)
    more = [lambda ax: paint_swaps(ax, found.swaps.betas, found.swaps.accepted)]
    more.append(lambda ax: paint_projections(ax, found, coldest.beta))
    if found.minima is not None:
        more.append(lambda ax: paint_occupancies(ax, found, coldest))
    visible, hidden = machine.weights.shape
    names = tuple(f"mode_{g + 1}" for g in range(len(found.modes.dims)))
    finish(
        found.rows,
        rbm_curves(machine, found.modes, min(betas), max(betas)),
        ("joint_energy", "heat_capacity", *names),
        panels=("joint_energy", "heat_capacity", names),
        more=more,
        title=f"{name}: {visible} visible and {hidden} hidden units, {plan.chains} ladders of {plan.sweeps:,} sweeps",
        folder=out or DEFAULT_ROOT / f"physics-rbm-{name}",
        facts={
            "model": name, "visible": visible, "hidden": hidden, **plan._asdict(), "seed": seed,
            "singular_values": found.modes.values.tolist(), "dimensions": found.modes.dims.tolist(),
            "ladder": found.swaps.betas.tolist(), "accepted_swaps": found.swaps.accepted.tolist(),
            "round_trips": found.swaps.round_trips,
            "minima": None if found.minima is None else found.minima.v.astype(int).tolist(),
        },
        critical=None,
        notes=notes_of(found, coldest),
        as_json=as_json,
    )  # fmt: skip


def load_machine(model: str) -> tuple[str, Any]:
    """A name for titles and folders, and the machine.

    Raises:
        ConfigError: It is neither the shipped machine nor an .npz file.
        DataError: The file does not hold a machine.
    """
    from energax.errors import ConfigError

    if model == BARS:
        from energax.energies import bars_and_stripes_rbm

        return BARS, bars_and_stripes_rbm(8.0)
    if not model.endswith(".npz"):
        raise ConfigError(f"MODEL must be {BARS} or the path of an .npz file; got {model!r}.")
    from energax.data.rbm_file import NAMES, read_rbm

    arrays = read_rbm(Path(model))
    import jax.numpy as jnp

    from energax.energies import BernoulliRBM

    return Path(model).stem, BernoulliRBM(*(jnp.asarray(arrays[name]) for name in NAMES))


def notes_of(found: Any, coldest: Any) -> list[str]:
    """What the table of a machine does not say: its modes, its ladder, the minima at the coldest temperature."""
    modes = zip(found.modes.values, found.modes.dims, strict=True)
    notes = ["Singular values of the weights: " + ", ".join(f"{value:.3f} (x{dim})" for value, dim in modes) + " nats."]
    worst = int(found.swaps.accepted.argmin())
    colder, hotter = found.swaps.betas[worst : worst + 2]
    notes.append(
        f"{len(found.swaps.betas)} levels, {found.swaps.round_trips:,} round trips; fewest swaps, "
        f"{found.swaps.accepted[worst]:.0%}, between beta {hotter:.3f} and {colder:.3f}."
    )
    if not found.rows[0].exact:
        notes.append("Neither layer is small enough for the exact sums.")
    if found.minima is None:
        return [*notes, "Too many visible units to find all minima of the free energy."]
    notes.append(f"Draws at beta {coldest.beta:g} by the minimum of the free energy that they descend to:")
    for name, observable in coldest.observables.items():
        if name.startswith("minimum_"):
            place = name.partition("_")[2]
            bits = "" if place == "other" else "".join(str(int(bit)) for bit in found.minima.v[int(place) - 1])
            known = f", exact {coldest.exact[name].value:.4f}" if name in coldest.exact else ""
            notes.append(f"  {place:>5} {bits} {observable.value:.4f} +- {observable.std_error:.4f}{known}")
    return notes


def planned(move: str, chains: int | None, sweeps: int | None, burn_in: int | None, thin: int | None) -> Plan:
    """What was asked for, and the move's own plan where nothing was."""
    asked = {"chains": chains, "sweeps": sweeps, "burn_in": burn_in, "thin": thin}
    return PLANS[move]._replace(**{name: value for name, value in asked.items() if value is not None})


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
    notes: Sequence[str] = (),
    panels: Sequence[str | tuple[str, ...]] | None = None,
    more: Sequence[Any] = (),
) -> None:
    """Writes the files, prints the table, and fails where an estimate contradicts an exact value."""
    from energax.report.physics import as_dict, write_sweep

    paths = write_sweep(folder, title, rows, curves, panels or shown, facts, critical, more)
    worst = max((abs(off) for row in rows for off in row.deviations().values()), default=0.0)
    if as_json:
        print_json({"rows": [as_dict(row) for row in rows], "files": paths, "worst_sigma": worst, "notes": list(notes)})
    else:
        typer.echo(title)
        for line in table(rows, shown):
            typer.echo(line)
        checked = sum(len(row.deviations()) for row in rows)
        if checked:
            typer.echo(f"Of {checked} estimates with an exact value the worst is {worst:.1f} standard errors off.")
        if critical is not None:
            typer.echo(f"Critical point of the infinite lattice: beta = {critical:.6f}.")
        for note in notes:
            typer.echo(note)
        typer.echo(f"Wrote {', '.join(str(path) for path in paths.values())}")
    if worst > MOST_OFF:
        raise typer.Exit(FAILED)


def table(rows: list[Any], shown: tuple[str, ...]) -> list[str]:
    """Temperatures as lines: estimate and error bar, `?` where draws are too few, the exact value behind if one is."""
    head, cells = ["beta"], [[f"{row.beta:.4f}"] for row in rows]
    for name in shown:
        is_known = any(name in row.exact for row in rows)
        head += [name.replace("_", " "), "exact"][: 1 + is_known]
        for row, line in zip(rows, cells, strict=True):
            found, known = row.observables[name], row.exact.get(name)
            line.append(f"{found.value:.4f} +- {found.std_error:.4f}{'' if found.reliable else ' ?'}")
            if is_known:
                line.append("" if known is None else f"{known.value:.4f}{' (inf)' if 'infinite' in known.of else ''}")
    cells = [[*head, "tau"]] + [
        [*line, f"{max(row.observables[name].autocorrelation_time for name in shown):.1f}"]
        for row, line in zip(rows, cells, strict=True)
    ]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return ["  ".join(word.rjust(width) for word, width in zip(line, widths, strict=True)) for line in cells]
