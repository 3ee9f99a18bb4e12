"""The whole audit in a folder: one JSON file a cell, put down whole; what is there is not trained again."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from energax.errors import DataError
from energax.runtime.disk import write_atomically

from .cell import Cell, Row, budget, run


def audit(
    folder: Path,
    cells: Iterable[Cell],
    *,
    tell: Callable[[Cell, Row, bool], None] = lambda cell, row, is_new: None,
) -> list[Row]:
    """Runs every cell that the folder does not hold yet, and returns the rows of all.

    Args:
        folder: Made if it is not there.
        cells: Which; a cell whose row was made with another budget is run again.
        tell: Called with each cell, its row, and whether it was run now.

    Raises:
        DataError: A file of the folder is no row.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for cell in cells:
        path = folder / f"{cell.problem}--{cell.method}--{cell.seed}.json"
        row = read(path) if path.is_file() else None
        is_new = row is None or row.budget != budget(cell)
        if is_new:
            row = run(cell)
            write_atomically(path, [json.dumps(_spelled(row.as_dict()), indent=1).encode()])
        assert row is not None
        tell(cell, row, is_new)
        rows.append(row)
    return rows


def rows_of(folder: Path) -> list[Row]:
    """Every row that a folder holds, by name.

    Raises:
        DataError: A file of the folder is no row.
    """
    return [read(path) for path in sorted(folder.glob("*--*--*.json"))]


def read(path: Path) -> Row:
    """The row of a file.

    Raises:
        DataError: It is none.
    """
    try:
        found = json.loads(path.read_text())
        figures = {name: None if value is None else float(value) for name, value in found.pop("figures").items()}
        return Row(**found, figures=figures)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} must hold one row of an audit; got {type(error).__name__}: {error}") from None


def _spelled(value: Any) -> Any:
    """Numbers that are not finite as text, which JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _spelled(item) for key, item in value.items()}
    if isinstance(value, float) and value - value != 0.0:
        return str(value)
    return value
