"""The cells of a user's tables, by column: all rows of all files, as text."""

import itertools
import os
from array import array
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from pipelines.core.pipeline import SPLITS, DataError
from pipelines.core.rows import RAM_BUDGET
from pipelines.files import column_cells, plain_table, table_file, text_files
from pipelines.files.shown import shown
from pipelines.storage.progress import progress

SUFFIXES = (".csv", ".tsv")  # of the files of a folder
_BATCH = 300  # rows transposed at a time; with 10 000 the garbage collector takes 6 s more


class TableCells(NamedTuple):
    """The cells of all files, as text, by column."""

    names: tuple[str, ...]
    columns: list[column_cells.Cells]
    split_of: list[str]  # of each row
    where: Callable[[int], str]  # row -> "file:line"
    separate: Sequence[str] = ()  # splits besides train that have files of their own


def paths(data_files: str, suffixes: Collection[str] = SUFFIXES) -> list[tuple[str, str]]:
    """(split, path) of every file.

    Args:
        suffixes: of the files that are read from a folder.

    Raises:
        DataError: there are none, or they are too large to be read into memory.
    """
    files = [
        (name, path)
        for name, patterns in text_files.by_split(data_files).items()
        for pattern in patterns
        for path in text_files.expanded(pattern, suffixes)
    ]
    text_files.check_size([path for _, path in files], RAM_BUDGET, "tables")
    return files


def separate(paths: Iterable[tuple[str, str]]) -> list[str]:
    """The splits besides train that have files of their own."""
    named = {split for split, _ in paths}
    return [name for name in SPLITS[1:] if name in named]


def _columns(opened: table_file.TableFile) -> tuple[Sequence[int], list[column_cells.Cells]]:
    """The line of every row, and the cells of every column. DataError: there are no rows."""
    plain = plain_table.columns(opened)
    if plain is not None:
        return range(opened.start + 1, opened.start + 1 + len(plain[0])), plain
    rows = progress(table_file.rows(opened), None, f"reading {os.path.basename(opened.path)}")
    lines, gathered = array("q"), [column_cells.Gathered() for _ in opened.names]
    while batch := list(itertools.islice(rows, _BATCH)):
        lines.extend(line for line, _ in batch)
        for column, cells in zip(
            gathered, zip(*(row for _, row in batch), strict=True), strict=True
        ):
            column.extend(cells)
    if not lines:
        raise DataError(f"{opened.path} has a header and no rows")
    return lines, [column.cells() for column in gathered]


def read(paths: Sequence[tuple[str, str]], encoding: str, *, fewest: int = 2) -> TableCells:
    """The cells of all files.

    Args:
        paths: (split, path) of each file.
        fewest: least number of columns that is expected.

    Raises:
        DataError: a file or row cannot be read, or files have different columns.
    """
    tables = [table_file.open_table(path, encoding) for _, path in paths]
    names = tables[0].names
    if len(names) < fewest:
        raise DataError(
            f"{tables[0].path}:{tables[0].start}: only one column, {table_file.quoted(names[0])}; "
            "expected cells separated by comma, semicolon, tab or |"
        )
    parts, lines, first_rows, split_of = [], [], [], []
    for (part, path), opened in zip(paths, tables, strict=True):
        if sorted(opened.names) != sorted(names):
            others = sorted(set(names) ^ set(opened.names))[:10]
            differing = ", ".join(shown(name, table_file.NAME) for name in others)
            raise DataError(f"{path} has other columns than {tables[0].path}: {differing}")
        order = [opened.names.index(name) for name in names]
        first_rows.append(len(split_of))
        numbers, cells = _columns(opened)
        lines.append(numbers)
        parts.append([cells[index] for index in order])
        split_of += [part] * len(numbers)

    def where(row: int) -> str:
        file = bisect_right(first_rows, row) - 1
        return f"{tables[file].path}:{lines[file][row - first_rows[file]]}"

    columns = [column_cells.joined(column) for column in zip(*parts, strict=True)]
    return TableCells(names, columns, split_of, where, separate(paths))
