"""Tables of numbers out of .csv files: one sample a line, commas, semicolons or tabs, an optional line of names."""

import csv
import math
from pathlib import Path

import numpy as np

from energax.errors import DataError

MOST_BYTES = 2**29


def read(path: Path, labels: str | None) -> tuple[np.ndarray, np.ndarray | None]:
    """The numbers `[n, d]` of a .csv file, and the column `labels` as texts or None.

    The delimiter is the one of comma, semicolon and tab that the first line has most of. The first line is one of
    names if any of its cells is no number.

    Args:
        path: A UTF-8 text file of at most 512 MiB.
        labels: Name of the column of classes (without names: its number, from 0, as text), or None.

    Raises:
        DataError: A line has another number of cells than the first, a cell is no finite number, or the file is no
            such text; the message names line and column.
    """
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise DataError(f"{path} must be at most {MOST_BYTES} bytes; got {size}.")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise DataError(
            f"{path} must be UTF-8 text; got byte {problem.object[problem.start]} at {problem.start}."
        ) from None
    if "\0" in text:
        raise DataError(f"{path} must be text; got a zero byte at {text.index(chr(0))}.")
    lines = _cells(path, text)
    names = _names(path, lines[0][1])
    body = lines if names is None else lines[1:]
    if len(body) < 2:
        raise DataError(f"{path} must hold at least 2 lines of numbers; got {len(body)}.")
    width = len(lines[0][1])
    column = _label_column(path, labels, names or [str(i) for i in range(width)])
    x = np.empty((len(body), width - (column is not None)), np.float64)
    if x.shape[1] == 0:
        raise DataError(f"{path} must hold a column of numbers beside its labels; got 1 column.")
    for i, (line, cells) in enumerate(body):
        x[i] = [_number(path, line, j, cell) for j, cell in enumerate(cells) if j != column]
    return x, None if column is None else _classes(path, [(line, cells[column]) for line, cells in body])


def _cells(path: Path, text: str) -> list[tuple[int, list[str]]]:
    """Line number and cells of every line that is not blank, all of one length."""
    first = next((line for line in text.splitlines() if line.strip()), None)
    if first is None:
        raise DataError(f"{path} must hold lines of numbers; it is empty.")
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(text.splitlines(), delimiter=delimiter, strict=True)
    try:
        lines = [
            (reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(c.strip() for c in cells)
        ]
    except csv.Error as problem:
        raise DataError(f"{path}, line {reader.line_num}: must be plain cells; got {problem}.") from None
    width = len(lines[0][1])
    for line, cells in lines:
        if len(cells) != width:
            raise DataError(f"{path}, line {line}: must have {width} cells as the first line has; got {len(cells)}.")
    return lines


def _names(path: Path, cells: list[str]) -> list[str] | None:
    """The names of the columns, or None when the first line holds numbers."""
    if all(_is_number(cell) for cell in cells):
        return None
    if any(_is_number(cell) for cell in cells) or "" in cells:
        raise DataError(f"{path}, line 1: must be all numbers or all names; got {', '.join(map(repr, cells[:6]))}.")
    if len(set(cells)) != len(cells):
        raise DataError(f"{path}, line 1: must name each column once; got {', '.join(map(repr, cells[:6]))}.")
    return cells


def _label_column(path: Path, labels: str | None, names: list[str]) -> int | None:
    if labels is None:
        return None
    if labels not in names:
        raise DataError(f"{path} must have a column {labels!r} for the labels; got {', '.join(names[:20])}.")
    return names.index(labels)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(path: Path, line: int, column: int, cell: str) -> float:
    where = f"{path}, line {line}, column {column}"
    if not cell:
        raise DataError(f"{where}: must be a number; the cell is empty.")
    if not _is_number(cell) or "_" in cell:
        raise DataError(f"{where}: must be a number (or be named as labels); got {cell[:40]!r}.")
    value = float(cell)
    if not math.isfinite(value):
        raise DataError(f"{where}: must be finite; got {cell[:40]!r}.")
    return value


def _classes(path: Path, cells: list[tuple[int, str]]) -> np.ndarray:
    """Labels as whole numbers if they all are, else as texts."""
    for line, cell in cells:
        if not cell:
            raise DataError(f"{path}, line {line}: the label must be given; the cell is empty.")
    values = [cell for _, cell in cells]
    if all(v.lstrip("+-").isdecimal() and len(v) < 16 for v in values):
        return np.array([int(v) for v in values], np.int64)
    return np.array(values)
