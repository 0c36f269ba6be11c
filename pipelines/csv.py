"""Your own table: --pipeline=csv --data_files=houses.csv --target=price."""

import itertools
import logging
import os
from array import array
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from pipelines import DataError, Pipeline, Rows, Schema
from pipelines.core import splits
from pipelines.core.rows import RAM_BUDGET
from pipelines.files import (
    column_cells,
    columns,
    misplaced,
    plain_table,
    readings,
    summary,
    table,
    table_file,
    text_files,
)
from pipelines.files.shown import shown
from pipelines.steps.columns import forms
from pipelines.storage.kept import kept
from pipelines.storage.progress import progress

_log = logging.getLogger(__name__)
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
    missing: str = "",
    dates: str = "",
    decimal: str = "",
    keep: str = "",
    labels: str = "",
    encoding: str = "",
    split_seed: int = 0,
    validation: float = 0.1,
    test: float = 0.2,
) -> Pipeline:
    """Text files with a header: numbers and dates are standardised, text becomes categories.

    Args:
        data_files: files, folders or patterns separated by commas, or one for each split:
            "train=a.csv,test=b.csv". A missing split is cut from train by content.
        target: the column to predict, or several columns of 0 and 1, separated by commas.
        task: regression, binary, classification or multi_label; empty: inferred.
        ignore: columns to leave out, separated by commas.
        categories: columns that are categories though they look like numbers or dates.
        missing: cells that mean missing, besides empty ones: "NA|-999" in every column,
            "age:-999|city:none" in some; "age:" none. Without it the cells themselves decide.
        dates: day_first or month_first, where the cells do not say; "sold:day_first" in one column.
            "code:number" for numbers that look like 20240131.
        decimal: point or comma, where the cells do not say; "price:comma" in one column.
        keep: columns to use though they count the rows, separated by commas.
        labels: as_written, if classes that differ only in case or spaces are different ones.
        encoding: of files that are neither UTF-8 nor UTF-16 with a mark, such as cp1252.
        split_seed: another seed gives another split by content.
        validation: fraction of the rows, as is `test`.

    Raises:
        DataError: (when it is read) a file, row or cell that cannot be read, or an unknown column.
    """
    options = dict(locals())

    def whole() -> table.Table:
        cells = _cells(data_files, encoding)
        unused = table.named(cells.names, ignore, "ignore")
        targets = table.named(cells.names, target, "target")  # refused before types are inferred
        _check_place(cells, targets, unused, data_files)
        asked = readings.asked(
            cells.names,
            categories=table.named(cells.names, categories, "categories"),
            targets=targets,
            missing=missing,
            dates=dates,
            decimal=decimal,
        )
        kept_columns = table.named(cells.names, keep, "keep")
        return _typed(data_files, cells, asked, unused, kept_columns)

    def read() -> tuple[dict[str, Rows], Schema]:
        typed, chosen = whole(), table.Chosen(target, task, keep, labels)
        plain_table.release_memory()
        return table.read(typed, chosen, table.Cut(split_seed, validation, test))

    def once() -> tuple[dict[str, Rows], Schema]:
        return kept(read, [path for _, path in _paths(data_files)], options)

    return Pipeline(name="csv", source=data_files, read=once, forms=forms())


def _typed(
    source: str,
    cells: "_Cells",
    asked: Mapping[str, readings.Asked],
    unused: Collection[str],
    keep: Collection[str],
) -> table.Table:
    """The columns that are not left out, with their types."""
    used = {
        name: column
        for name, column in zip(cells.names, cells.columns, strict=True)
        if name not in unused
    }
    each = progress(used.items(), len(used), "looking at columns")
    typed = [columns.infer(k, column, cells.where, asked[k]) for k, column in each]
    # Copies of a row that were numbered afterwards are copies: they stay together.
    inputs = [column for column in typed if not asked[column.name].target]
    numbered = summary.row_numbers(inputs, keep)
    content = [column for name, column in used.items() if name not in numbered]
    return table.Table(
        source=source,
        columns=typed,
        split_of=cells.split_of,
        separate=cells.separate,
        digest=splits.digests(column_cells.rows(content)),
    )


def _check_place(cells: "_Cells", targets: list[str], unused: list[str], source: str) -> None:
    """Warns of several labels in a cell. DataError: nothing but texts is left to learn from."""
    columns = dict(zip(cells.names, cells.columns, strict=True))
    inputs = {k: column for k, column in columns.items() if k not in {*unused, *targets}}
    texts = misplaced.only_texts(inputs, targets)
    if texts:
        raise DataError(f"{source}: {texts}")
    several = misplaced.several_labels(targets[0], columns[targets[0]]) if targets else ""
    if several and len(targets) == 1:
        _log.warning(several)


class _Cells(NamedTuple):
    """The cells of all files, as text, by column."""

    names: tuple[str, ...]
    columns: list[column_cells.Cells]
    split_of: list[str]  # of each row
    where: Callable[[int], str]  # row -> "file:line"
    separate: Sequence[str] = ()  # splits besides train that have files of their own


def _cells(data_files: str, encoding: str) -> _Cells:
    named = text_files.by_split(data_files)
    separate = [name for name in ("validation", "test") if name in named]
    return _read(_paths(data_files), encoding)._replace(separate=separate)


def _paths(data_files: str) -> list[tuple[str, str]]:
    """(split, path) of every file."""
    return [
        (name, path)
        for name, patterns in text_files.by_split(data_files).items()
        for pattern in patterns
        for path in text_files.expanded(pattern, _SUFFIXES)
    ]


def _check_size(paths: Sequence[str]) -> None:
    """DataError: more text than fits in memory as columns; before any of it is read."""
    try:
        sizes = [os.path.getsize(path) for path in paths]
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}") from error
    if sum(sizes) > RAM_BUDGET:
        largest = paths[sizes.index(max(sizes))]
        raise DataError(
            f"{largest} has {max(sizes) / 2**30:.1f} GiB of {sum(sizes) / 2**30:.1f} in all; "
            f"tables of up to {RAM_BUDGET / 2**30:.0f} GiB are read"
        )


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


def _read(paths: Sequence[tuple[str, str]], encoding: str) -> _Cells:
    _check_size([path for _, path in paths])
    tables = [table_file.open_table(path, encoding) for _, path in paths]
    names = tables[0].names
    if len(names) < 2:
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
        numbers, found = _columns(opened)
        lines.append(numbers)
        parts.append([found[index] for index in order])
        split_of += [part] * len(numbers)

    def where(row: int) -> str:
        file = bisect_right(first_rows, row) - 1
        return f"{tables[file].path}:{lines[file][row - first_rows[file]]}"

    columns = [column_cells.joined(column) for column in zip(*parts, strict=True)]
    return _Cells(names, columns, split_of, where)
