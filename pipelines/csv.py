"""Your own table: --pipeline=csv --data_files=houses.csv --target=price."""

import itertools
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pipelines import DataError, Pipeline, Rows, Schema
from pipelines.core import splits
from pipelines.files import columns, table, table_file, text_files
from pipelines.steps import tabular

LIMITS = {"split_seed": (0, 2_147_483_648)}

_SUFFIXES = (".csv", ".tsv")
_BATCH = 300  # rows transposed at a time; with 10 000 the garbage collector takes 6 s more


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
    """Text files with a header: numbers and ISO dates are standardised, text becomes categories.

    Args:
        data_files: files, folders or patterns separated by commas, or one for each split:
            "train=a.csv,test=b.csv". A missing split is cut from train by content.
        target: the column to predict, or several columns of 0 and 1, separated by commas.
        task: regression, binary, classification or multi_label; empty: inferred.
        ignore: columns to leave out, separated by commas.
        categories: columns of numbers that are categories, separated by commas.
        encoding: of files that are neither UTF-8 nor UTF-16 with a mark, such as cp1252.
        split_seed: another seed gives another split by content.
        validation: fraction of the rows, as is `test`.

    Raises:
        DataError: (when it is read) a file, row or cell that cannot be read, or an unknown column.
    """

    def read() -> tuple[dict[str, Rows], Schema]:
        cells, separate = _cells(data_files, encoding)
        unused = table.named(cells.names, ignore, "ignore")
        as_text = table.named(cells.names, categories, "categories")
        table.named(cells.names, target, "target")  # refused before types are inferred
        used = {
            name: column
            for name, column in zip(cells.names, cells.columns, strict=True)
            if name not in unused
        }
        whole = table.Table(
            source=data_files,
            columns=[
                columns.infer(name, column, cells.where, text=name in as_text)
                for name, column in used.items()
            ],
            split_of=cells.split_of,
            separate=separate,
            digest=splits.digests(
                "\0".join(row).encode() for row in zip(*used.values(), strict=True)
            ),
        )
        return table.read(whole, target, task, table.Cut(split_seed, validation, test))

    names = (categories, *categories.split(","))
    forms = tabular.forms({table_file.field_name(name.strip()) for name in names})
    return Pipeline(name="csv", source=data_files, read=read, forms=forms)


class _Cells(NamedTuple):
    """The cells of all files, as text, by column."""

    names: tuple[str, ...]
    columns: list[list[str]]
    split_of: list[str]  # of each row
    where: Callable[[int], str]  # row -> "file:line"


def _cells(data_files: str, encoding: str) -> tuple[_Cells, list[str]]:
    """The cells of all files, and the splits besides train that have files of their own."""
    by_split = text_files.by_split(data_files)
    paths = [
        (name, path)
        for name, patterns in by_split.items()
        for pattern in patterns
        for path in text_files.expanded(pattern, _SUFFIXES)
    ]
    separate = [name for name in ("validation", "test") if name in by_split]
    return _read(paths, encoding), separate


def _read(paths: Sequence[tuple[str, str]], encoding: str) -> _Cells:
    tables = [table_file.open_table(path, encoding) for _, path in paths]
    names = tables[0].names
    if len(names) < 2:
        raise DataError(
            f"{tables[0].path}:1: only one column, {names[0][:40]!r}; expected cells separated by "
            "comma, semicolon or tab"
        )
    cells: list[list[str]] = [[] for _ in names]
    lines, first_rows, split_of = array("q"), [], []
    for (part, path), opened in zip(paths, tables, strict=True):
        if sorted(opened.names) != sorted(names):
            differing = ", ".join(sorted(set(names) ^ set(opened.names))[:10])
            raise DataError(f"{path} has other columns than {tables[0].path}: {differing}")
        order = [opened.names.index(name) for name in names]
        first_rows.append(len(lines))
        rows = table_file.rows(opened)
        while batch := list(itertools.islice(rows, _BATCH)):
            lines.extend(line for line, _ in batch)
            transposed = list(zip(*(row for _, row in batch), strict=True))
            for column, index in zip(cells, order, strict=True):
                column.extend(transposed[index])
        if len(lines) == first_rows[-1]:
            raise DataError(f"{path} has a header and no rows")
        split_of += [part] * (len(lines) - first_rows[-1])

    def where(row: int) -> str:
        return f"{tables[bisect_right(first_rows, row) - 1].path}:{lines[row]}"

    return _Cells(names, cells, split_of, where)
