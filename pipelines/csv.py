"""Your own table: --pipeline=csv --data_files=houses.csv --target=price."""

import itertools
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pipelines import DataError, Pipeline
from pipelines.core import splits
from pipelines.files import columns, table, table_file, text_files

_SUFFIXES = (".csv", ".tsv")
_BATCH = 300  # rows turned into columns at a time; 10 000 make the garbage collector take 6 s more


def pipeline(
    *,
    data_files: str,
    target: str,
    task: str = "",
    ignore: str = "",
    categories: str = "",
    encoding: str = "",
    split_seed: int = 0,
    validation: float = 0.1,
    test: float = 0.2,
) -> Pipeline:
    """Text files with a header: numbers and ISO dates standardised, other words as categories.

    Args:
        data_files: a file, several with commas between them, a folder or a pattern; or a split for
            each, "train=a.csv,test=b.csv". What is not given is cut from the rest by content.
        target: the column to predict; several of 0 and 1 with commas between them.
        task: regression, binary, classification or multi_label where it is not to be inferred.
        ignore: columns to leave out, with commas between them.
        categories: columns whose numbers are names.
        encoding: of files that are neither UTF-8 nor marked as UTF-16, such as cp1252.
        split_seed: which of the many splits by content.
        validation: share of the rows, as is `test`.

    Raises:
        DataError: a file, row or cell that cannot be read, by file and line; no such column.
    """
    places = text_files.places(data_files)
    paths = [
        (name, path)
        for name, words in places.items()
        for place in words
        for path in text_files.expanded(place, _SUFFIXES)
    ]
    cells = _read(paths, encoding)
    unused = table.named(cells.names, ignore, "ignore")
    as_text = table.named(cells.names, categories, "categories")
    table.named(cells.names, target, "target")  # refused before all cells are looked at
    used = {
        name: column
        for name, column in zip(cells.names, cells.columns, strict=True)
        if name not in unused
    }
    found = table.Table(
        source=data_files,
        columns=[
            columns.infer(name, column, cells.where, text=name in as_text)
            for name, column in used.items()
        ],
        split_of=cells.split_of,
        given=[name for name in ("validation", "test") if name in places],
        digest=splits.digests("\0".join(row).encode() for row in zip(*used.values(), strict=True)),
    )
    return table.over("csv", found, target, task, table.Cut(split_seed, validation, test))


class _Cells(NamedTuple):
    """The cells of all files, as text, by column."""

    names: tuple[str, ...]
    columns: list[list[str]]
    split_of: list[str]  # of each row
    where: Callable[[int], str]  # row -> "file:line"


def _read(paths: Sequence[tuple[str, str]], encoding: str) -> _Cells:
    tables = [table_file.open_table(path, encoding) for _, path in paths]
    names = tables[0].names
    if len(names) < 2:
        raise DataError(
            f"{tables[0].path}:1: one column only, {names[0][:40]!r}; cells are divided by comma, "
            "semicolon or tab"
        )
    cells: list[list[str]] = [[] for _ in names]
    lines, first_rows, split_of = array("q"), [], []
    for (part, path), found in zip(paths, tables, strict=True):
        if sorted(found.names) != sorted(names):
            odd = ", ".join(sorted(set(names) ^ set(found.names))[:10])
            raise DataError(f"{path} has other columns than {tables[0].path}: {odd}")
        order = [found.names.index(name) for name in names]
        first_rows.append(len(lines))
        rows = table_file.rows(found)
        while batch := list(itertools.islice(rows, _BATCH)):
            lines.extend(line for line, _ in batch)
            turned = list(zip(*(row for _, row in batch), strict=True))
            for column, place in zip(cells, order, strict=True):
                column.extend(turned[place])
        if len(lines) == first_rows[-1]:
            raise DataError(f"{path} has a header and no rows")
        split_of += [part] * (len(lines) - first_rows[-1])

    def where(row: int) -> str:
        return f"{tables[bisect_right(first_rows, row) - 1].path}:{lines[row]}"

    return _Cells(names, cells, split_of, where)
