"""`energax data`: what data sets there are, fetch one, look at one."""

import dataclasses
from typing import Annotated

import typer

from .outcome import print_json
from .words import Json

app = typer.Typer(help="List data sets, fetch an optional one, look at one.", invoke_without_command=True)


@app.callback()
def data(ctx: typer.Context, as_json: Json = False) -> None:
    """List data sets, fetch an optional one, or look at one."""
    if ctx.invoked_subcommand is None:
        _list(as_json)


@app.command("list")
def list_data(as_json: Json = False) -> None:
    """List the data sets, and how those that are not here are got."""
    _list(as_json)


def _list(as_json: bool) -> None:
    from energax.data import entries

    found = entries()
    if as_json:
        print_json([dataclasses.asdict(entry) for entry in found])
        return
    width = max(len(entry.name) for entry in found)
    for entry in found:
        mark = "   " if entry.available else "not"
        shape = "x".join(map(str, entry.shape))
        typer.echo(f"{entry.name:<{width}}  {entry.kind:<6} {entry.n:>6} x {shape:<8} {mark} here   {entry.how}")


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="mnist, fashion-mnist, cora, citeseer or pubmed.", show_default=False)],
) -> None:
    """Fetch an optional data set into the cache, checked against its SHA-256."""
    from energax.data import get as fetch

    typer.echo(f"Fetching {name} ...", err=True)
    typer.echo(str(fetch(name)))


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A data set's name or a path of your own.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Say what a data set holds: shape, range, classes, source, licence."""
    import numpy as np

    from energax.data import Graph, entries, load, load_graph

    is_graph = name in [entry.name for entry in entries() if entry.kind == "graph"]
    found = load_graph(name) if is_graph else load(name)
    labels, counts = np.unique(found.y, return_counts=True) if found.y is not None else ((), ())
    facts = {
        "name": found.name,
        "samples": len(found),
        "shape": list(found.x.shape[1:]),
        "range": [float(found.x.min()), float(found.x.max())],
        "mean": float(found.x.mean(dtype=np.float64)),
        "sd": float(found.x.std(dtype=np.float64)),
        "classes": {str(label): int(count) for label, count in zip(labels, counts, strict=True)},
        **({"edges": found.edge_index.shape[1] // 2, "homophily": found.homophily} if isinstance(found, Graph) else {}),
        "source": found.source,
        "licence": found.licence,
    }
    if as_json:
        print_json(facts)
        return
    for key, value in facts.items():
        typer.echo(f"{key + ':':<9} {value}")
