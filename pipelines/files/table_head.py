"""Finds the header in the first lines of a table, or that there is none. Standard library only."""

import itertools
import re
from collections.abc import Sequence

from pipelines.core.pipeline import DataError
from pipelines.files.shown import shown

SAMPLE = 60  # records that are looked at
_TITLES = 20  # records above a header, at most
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NONE = ("", "?", "n/a", "na", "nan", "none", "null")
_YEARS = range(1800, 2101)
_ROWS = 5  # fewer rows are not compared with the first line

Cells = Sequence[str]


def header_at(records: Sequence[Cells]) -> int:
    """The index of the header: it follows titles, which have fewer cells than the rows below."""
    widths = [len(trimmed(cells)) for cells in records]
    if len(records) < 4 or widths[0] == max(widths):
        return 0
    common = max(set(widths), key=lambda width: (widths.count(width), width))
    for i in range(1, min(_TITLES, len(records) - 2)):
        if widths[i] < max(2, common):
            continue
        names = trimmed(records[i])
        whole = all(names) and not any(_NUMBER.fullmatch(name) for name in names)
        below = [widths[j] == len(names) for j in range(i + 1, len(records))]
        above = max(sum(map(bool, records[j])) for j in range(i))
        return i if whole and above <= len(names) / 2 and sum(below) > len(below) / 2 else 0
    return 0


def trimmed(cells: Cells) -> tuple[str, ...]:
    """The cells without empty ones at their end, such as those of columns that were deleted."""
    width = len(cells)
    while width > 1 and not cells[width - 1]:
        width -= 1
    return tuple(cells[:width])


def has_single_quotes(names: Cells, rows: Sequence[Cells]) -> bool:
    """Whether all cells of some column are in single quotes, and no cell is only partly."""
    quoted = [
        all(re.fullmatch("'.*'", row[i]) for row in rows if row[i]) and any(row[i] for row in rows)
        for i in range(len(names))
        if all(len(row) > i for row in rows)
    ]
    others = [cell for row in rows for cell in row if cell.startswith("'")]
    # A single row may be texts that have such quotes; then the names decide.
    sure = len(rows) > 1 or all(re.fullmatch("'.+'", name) for name in names)
    return sure and any(quoted) and all(cell.endswith("'") for cell in others)


def check_is_header(where: str, names: Cells, rows: Sequence[Cells], delimiter: str) -> None:
    """DataError: the first line is a row like those below it."""
    rows = [row for row in rows if len(row) == len(names)]
    if len(rows) < _ROWS or len(names) < 2 or not _is_row(names, list(zip(*rows, strict=True))):
        return
    cells = shown(", ".join(names[:4]), 60) + (", ..." if len(names) > 4 else "")
    example = delimiter.join(f"c{i + 1}" for i in range(min(len(names), 4)))
    raise DataError(
        f"{where}: the first line is a row ({cells}), not the names of the columns: write them "
        f"above it, such as {example}{delimiter + '...' if len(names) > 4 else ''}"
    )


def _is_row(names: Cells, columns: Sequence[Cells]) -> bool:
    numbers, texts = [], []
    for name, cells in zip(names, columns, strict=True):
        if _is_numeric(cells):
            numbers.append((name, cells))
        elif 2 * len(set(cells)) <= len(cells):
            texts.append(name in cells)
    if not numbers:  # only texts: each name occurs again in its column
        return len(texts) == len(names) and all(texts)
    if (texts and not any(texts)) or any(not _may_be_number(name) for name, _ in numbers):
        return False
    values = [float(name) for name, _ in numbers if _NUMBER.fullmatch(name)]
    return bool(values) and not _are_names(values, [cells for _, cells in numbers])


def _are_names(values: Sequence[float], columns: Sequence[Cells]) -> bool:
    """Whether numbers may be the names of columns: 0, 1, 2 as pandas writes them, or years."""
    if any(value % 1 for value in values):
        return False
    steps = {b - a for a, b in itertools.pairwise(values)}
    if len(values) > 2 and len(steps) == 1 and steps != {0.0}:
        return True
    below = [float(cell) for cells in columns for cell in cells if _NUMBER.fullmatch(cell)]
    years = all(value in _YEARS for value in values) and len(set(values)) == len(values)
    return years and sum(value in _YEARS for value in below) < len(below) / 2


def _is_numeric(cells: Cells) -> bool:
    present = [cell for cell in cells if not _missing(cell)]
    return bool(present) and all(_NUMBER.fullmatch(cell) for cell in present)


def _may_be_number(cell: str) -> bool:
    return _missing(cell) or bool(_NUMBER.fullmatch(cell))


def _missing(cell: str) -> bool:
    return cell.lower() in _NONE
