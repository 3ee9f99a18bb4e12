"""`energax gebm`: how sure a graph network is of its nodes, by GEBM and by other scores, under every shift."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .ood import aligned
from .outcome import print_json
from .words import Json, Quiet


def gebm(
    graph: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="GRAPH", help="cora, citeseer, pubmed or csbm; several make several tables.", show_default=False
        ),
    ] = None,
    splits: Annotated[int, typer.Option(min=1, help="How many draws of the 20 training nodes a class.")] = 5,
    inits: Annotated[int, typer.Option(min=1, help="How many initialisations a split.")] = 1,
    only: Annotated[
        str,
        typer.Option(
            "--only",
            "-o",
            metavar="GROUP,...",
            help="Which trainings: left_out_classes, homophily, pagerank, features, noise; all if left out.",
        ),
    ] = "",
    methods: Annotated[str, typer.Option("--methods", metavar="A,B,...", help="Which scores; all if left out.")] = "",
    backbone: Annotated[str, typer.Option(help="gcn, or pyg_gcn, pyg_gat, pyg_sage of torch-geometric.")] = "gcn",
    folder: Annotated[
        Path | None,
        typer.Option(
            "--planetoid", help="Read this folder of Planetoid files, such as torch-geometric's.", metavar="DIR"
        ),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Show shifts, methods and backbones, and leave.")] = False,
    out: Annotated[Path, typer.Option("--out", help="The folder of the cells; what it holds is not run again.")] = Path(
        "runs/gebm"
    ),
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Score the nodes of a graph network under every shift: AUROC and AUPR of GEBM and of what it is compared with."""
    from energax.systems.gebm import listing

    if listed:
        show(as_json)
        return
    from energax.data import load_graph
    from energax.report.gebm import write_gebm
    from energax.systems.gebm.study import cells, study
    from energax.systems.gebm.table import tables

    names = listing.chosen("method", methods, listing.methods())
    listing.chosen("backbone", backbone, listing.backbones())
    groups = [word.strip() for word in only.split(",") if word.strip()]
    loaded = [load_graph(name, folder) for name in graph or ["cora"]]
    wanted = [cells(each, backbone, names, splits=splits, inits=inits, only=groups) for each in loaded]

    def tell(cell: Any, row: Any, is_new: bool) -> None:
        if not (quiet or as_json):
            typer.echo(f"{cell.name:<44} {'' if is_new else 'kept: '}{_short(row)}")
            sys.stdout.flush()

    rows = [row for each, some in zip(loaded, wanted, strict=True) for row in study(out, each, some, tell=tell)]
    words = ["energax", "gebm", *(graph or ["cora"]), "--splits", str(splits), "--inits", str(inits)]
    words += ["--backbone", backbone, *(["--only", only] if only else []), *(["--methods", methods] if methods else [])]
    found = tables(rows)
    facts = {"splits": splits, "inits": inits, "backbone": backbone, "methods": names}
    paths = write_gebm(out, found, rows, facts, shlex.join(words))
    if as_json:
        print_json({**facts, "studies": [each.as_dict() for each in found], "files": paths})
        return
    for each in found:
        tabulate(each)
    typer.echo(f"Wrote {', '.join(str(path) for path in paths.values())}")


def show(as_json: bool) -> None:
    """Shifts, methods and backbones, a line each."""
    from energax.systems.gebm import listing

    found = {"shifts": listing.shifts(), "methods": listing.methods(), "backbones": listing.backbones()}
    if as_json:
        print_json({what: {name: each.TITLE for name, each in known.items()} for what, known in found.items()})
        return
    for what, known in found.items():
        typer.echo(f"{what}:")
        for name, each in known.items():
            typer.echo(f"  {name:<20}  {each.TITLE}")


def tabulate(found: Any) -> None:
    """One graph's AUROC, AUPR and accuracy under noise, a line a method or share."""
    from energax.report.gebm import heads, rows

    for kind in ("auroc", "aupr") if found.figures else ():
        typer.echo(f"{found.graph}, {kind.upper()} of foreign nodes ({found.splits} splits)")
        for line in aligned([heads(found, kind), *rows(found, kind)]):
            typer.echo(f"  {line}")
    if found.curve:
        who = list(next(iter(found.curve.values())))
        typer.echo(f"{found.graph}, accuracy when a share of all nodes is noise")
        for line in aligned([["share", *who], *([s, *(at[n].text for n in who)] for s, at in found.curve.items())]):
            typer.echo(f"  {line}")


def _short(row: Any) -> str:
    figures = [f"{shift} {each['gebm']['auroc']:.3f}" for shift, each in row.figures.items() if "gebm" in each]
    return f"accuracy {row.accuracy:.3f}" + (f"; GEBM: {', '.join(figures)}" if figures else "")
