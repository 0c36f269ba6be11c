"""Your own table: --pipeline=csv --data_files=houses.csv --target=price."""

import logging
from collections.abc import Collection, Mapping

from pipelines import DataError, Pipeline, Rows, Schema
from pipelines.core import splits
from pipelines.files import (
    column_cells,
    columns,
    misplaced,
    plain_table,
    readings,
    summary,
    table,
    table_cells,
)
from pipelines.files.table_cells import TableCells
from pipelines.steps.columns import forms
from pipelines.storage.kept import kept
from pipelines.storage.progress import progress

_log = logging.getLogger(__name__)
LIMITS = {"split_seed": (0, 2_147_483_648)}


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
            "train=a.csv,test=b.csv". A missing split is cut from train by content hash.
        target: the column to predict, or several columns of 0 and 1, separated by commas.
        task: regression, binary, classification or multi_label; empty: inferred.
        ignore: columns to leave out, separated by commas.
        categories: columns that are categories though they look like numbers or dates.
        missing: cells that mean missing, besides empty ones: "NA|-999" in every column,
            "age:-999|city:none" in some columns, "age:" no others; empty: inferred from the cells.
        dates: day_first or month_first, where the cells are ambiguous; "sold:day_first" for one
            column, "code:number" for numbers that look like dates (20240131).
        decimal: point or comma, where the cells are ambiguous; "price:comma" for one column.
        keep: columns to use although they look like row numbers, separated by commas.
        labels: as_written keeps classes apart that differ only in case or spaces.
        encoding: of files in neither UTF-8 nor UTF-16 with a byte-order mark, such as cp1252.
        split_seed: seed of the split by content hash.
        validation: fraction of the rows, like `test`.

    Raises:
        DataError: (when the data is read) a file, row or cell cannot be read, or a column is
            unknown.
    """
    options = dict(locals())

    def whole() -> table.Table:
        cells = table_cells.read(table_cells.paths(data_files), encoding)
        unused = table.named(cells.names, ignore, "ignore")
        targets = table.named(cells.names, target, "target")  # checked before types are inferred
        _check_pipeline(cells, targets, unused, data_files)
        column_options = readings.parse_options(
            cells.names,
            categories=table.named(cells.names, categories, "categories"),
            targets=targets,
            missing=missing,
            dates=dates,
            decimal=decimal,
        )
        kept_columns = table.named(cells.names, keep, "keep")
        return _typed(data_files, cells, column_options, unused, kept_columns)

    def read() -> tuple[dict[str, Rows], Schema]:
        typed, chosen = whole(), table.Chosen(target, task, keep, labels)
        plain_table.release_memory()
        return table.read(typed, chosen, table.Cut(split_seed, validation, test))

    def once() -> tuple[dict[str, Rows], Schema]:
        return kept(read, [path for _, path in table_cells.paths(data_files)], options)

    return Pipeline(name="csv", source=data_files, read=once, forms=forms())


def _typed(
    source: str,
    cells: TableCells,
    column_options: Mapping[str, readings.ColumnOptions],
    unused: Collection[str],
    keep: Collection[str],
) -> table.Table:
    """The columns that are not ignored, with their inferred types."""
    used = {
        name: column
        for name, column in zip(cells.names, cells.columns, strict=True)
        if name not in unused
    }
    each = progress(used.items(), len(used), "looking at columns")
    typed = [columns.infer(k, column, cells.where, column_options[k]) for k, column in each]
    # The digest leaves row numbers out, so that copies of a row stay in the same split.
    inputs = [column for column in typed if not column_options[column.name].target]
    numbered = summary.row_numbers(inputs, keep)
    content = [column for name, column in used.items() if name not in numbered]
    return table.Table(
        source=source,
        columns=typed,
        split_of=cells.split_of,
        separate=cells.separate,
        digest=splits.digests(column_cells.rows(content)),
    )


def _check_pipeline(cells: TableCells, targets: list[str], unused: list[str], source: str) -> None:
    """Warns if target cells hold several labels. DataError: the only input is a text."""
    columns = dict(zip(cells.names, cells.columns, strict=True))
    inputs = {k: column for k, column in columns.items() if k not in {*unused, *targets}}
    texts = misplaced.only_texts(inputs, targets)
    if texts:
        raise DataError(f"{source}: {texts}")
    several = misplaced.several_labels(targets[0], columns[targets[0]]) if targets else ""
    if several and len(targets) == 1:
        _log.warning(several)
