"""The whole study in a folder: one JSON file a cell, put down whole; what is there is not trained again."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from energax.data import Graph
from energax.errors import DataError
from energax.runtime.disk import write_atomically

from .cell import NOISE, Cell, Row, groups, run


def cells(
    graph: Graph, backbone: str, methods: Iterable[str], *, splits: int, inits: int, only: Iterable[str] = ()
) -> list[Cell]:
    """Every cell of a graph.

    Args:
        graph: The graph.
        backbone: A file of `backbones/`.
        methods: Files of `baselines/`.
        splits: Number of splits.
        inits: Initialisations a split.
        only: Groups of shifts, or "noise"; all that fit if empty.

    Raises:
        DataError: A group does not fit the graph.
    """
    known = [*groups(graph), NOISE]
    wanted = list(only) or known
    for name in wanted:
        if name not in known:
            raise DataError(f"{graph.name} has the groups {', '.join(known)}; got {name!r}.")
    names = tuple(methods)
    return [
        Cell(graph.name, backbone, group, split, init, names)
        for split in range(splits)
        for init in range(inits)
        for group in wanted
    ]


def study(
    folder: Path,
    graph: Graph,
    wanted: Iterable[Cell],
    *,
    tell: Callable[[Cell, Row, bool], None] = lambda cell, row, is_new: None,
) -> list[Row]:
    """Runs every cell that the folder does not hold yet with all its methods, and returns the rows of all.

    Args:
        folder: Made if it is not there.
        graph: The graph of the cells.
        wanted: Which.
        tell: Called with each cell, its row, and whether it was run now.

    Raises:
        DataError: A file of the folder is no row.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for cell in wanted:
        path = folder / f"{cell.name}.json"
        row = read(path) if path.is_file() else None
        is_new = row is None or any(set(cell.methods) - set(figures) for figures in row.figures.values())
        if is_new:
            row = run(cell, graph)
            write_atomically(path, [json.dumps(row.as_dict(), indent=1).encode()])
        assert row is not None
        tell(cell, row, is_new)
        rows.append(row)
    return rows


def read(path: Path) -> Row:
    """The row of a file.

    Raises:
        DataError: It is none.
    """
    try:
        return Row(**json.loads(path.read_text()))
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} must hold one row of a study; got {type(error).__name__}: {error}") from None
