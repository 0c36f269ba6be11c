"""CSV files or JSON lines of which only a few columns are used: their cells and their target."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from pipelines.core.pipeline import DataError
from pipelines.files import columns, json_lines, misplaced, readings, table, table_cells
from pipelines.files.columns import Column
from pipelines.files.table import Chosen
from pipelines.files.table_cells import TableCells

_log = logging.getLogger(__name__)
_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")


def read(data_files: str, encoding: str, fewest: int = 2) -> tuple[TableCells, Mapping[str, str]]:
    """The cells of all files; and column -> "file:line" where JSON first has a list or an object.

    Args:
        fewest: least number of columns that is expected.

    Raises:
        DataError: no such file, files of both kinds, or a row that cannot be read.
    """
    paths = table_cells.paths(data_files, _SUFFIXES)
    kinds = [json_lines.is_json(path, encoding) for _, path in paths]
    if any(kinds) and not all(kinds):
        one, other = (paths[kinds.index(kind)][1] for kind in (True, False))
        raise DataError(f"{one} has JSON on each line, {other} has not: name files of one kind")
    if all(kinds):
        return json_lines.read(paths, encoding)
    return table_cells.read(paths, encoding, fewest=fewest), {}


def parse_options(
    cells: TableCells, wanted: Sequence[str], categories: str, missing: str, decimal: str
) -> dict[str, readings.ColumnOptions]:
    """The options for each column; see `readings.parse_options`.

    Args:
        wanted: the target's columns.
    """
    return readings.parse_options(
        cells.names,
        categories=table.named(cells.names, categories, "categories"),
        targets=wanted,
        missing=missing,
        decimal=decimal,
    )


def predicted(
    cells: TableCells,
    column_options: Mapping[str, readings.ColumnOptions],
    options: Chosen,
    rows: np.ndarray,
) -> list[Column]:
    """The target's columns, in these `rows` (M,) only."""
    wanted = table.named(cells.names, options.target, "target")
    by_name = {name: cells.columns[cells.names.index(name)] for name in wanted}
    several = misplaced.several_labels(wanted[0], by_name[wanted[0]]) if len(wanted) == 1 else ""
    if several:
        _log.warning(several)
    inferred = [
        columns.infer(name, by_name[name], cells.where, column_options[name]) for name in wanted
    ]
    return [table.labelled(c._replace(values=c.values[rows]), options) for c in inferred]
