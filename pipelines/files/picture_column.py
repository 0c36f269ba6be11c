"""Finds the column of a table that names image files, and the paths of these files."""

import logging
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipelines.core.pipeline import DataError
from pipelines.files import photo, table, table_file
from pipelines.files.shown import shown
from pipelines.files.table_cells import TableCells

_log = logging.getLogger(__name__)
_SAMPLE = 100  # distinct cells that are tested


class Pictures(NamedTuple):
    """The image file of every row that names one."""

    rows: np.ndarray  # (n,) row numbers in the table
    paths: list[pathlib.Path]  # the distinct files
    files: np.ndarray  # (n,) index of each row's file in `paths`
    missing: list[str]  # a line for each row whose file does not exist
    empty: int  # rows whose cell is empty


def image(
    cells: TableCells,
    nested: Mapping[str, str],
    option: str,
    targets: Sequence[str],
    source: str,
) -> str:
    """The column of image files: the one that the option names, or the only possible one.

    Args:
        nested: column -> "file:line" of its first list or object.
        option: value of the option; empty: the column is inferred.
        targets: columns to predict.

    Raises:
        DataError: there is no such column, several are possible, or a column that is used holds
            lists or objects.
    """
    others = [name for name in cells.names if name not in targets]
    if option:
        names = table.named(cells.names, option, "image")
        if len(names) != 1 or names[0] in targets:
            raise DataError(
                f"image={shown(option)}: expected one column that is not the target, of "
                f"{table.listed(others)}"
            )
    else:
        by_name = dict(zip(cells.names, cells.columns, strict=True))
        names = others if len(others) == 1 else [k for k in others if _are_files(by_name[k].counts)]
        if len(names) == 1:
            _log.info("%s: the images are those of %s", source, shown(names[0], table_file.NAME))
    for name in [*names, *targets]:
        if name in nested:
            raise DataError(
                f"{nested[name]}: {table_file.quoted(name)} holds a list or an object, expected a "
                "text, number or truth value"
            )
    if len(names) == 1:
        return names[0]
    raise DataError(
        f"{source}: {len(names) or 'none'} of its columns {'name' if names else 'clearly names'} "
        f"image files: choose --pipeline_options=image=<one of {table.listed(names or others)}>"
    )


def pictures(cells: TableCells, column: str, *, skip_bad: bool) -> Pictures:
    """The files that a column names, relative to the folder of the table that has the row.

    Raises:
        DataError: a file does not exist, unless such rows are skipped; or no row names a file.
    """
    distinct, codes = cells.columns[cells.names.index(column)].coded
    numbers: dict[str, int] = {}
    rows, files, missing, empty = [], [], [], 0
    plain: dict[str, str] = {}
    exists: dict[str, bool] = {}
    for row, code in enumerate(codes.tolist()):
        if not distinct[code]:
            empty += 1
            continue
        folder = os.path.dirname(cells.where(row).rpartition(":")[0])
        written = os.path.join(folder, distinct[code])
        if written not in plain:
            plain[written] = _plain(written)
        path = plain[written]
        if path not in exists:
            exists[path] = os.path.isfile(path)
        if not exists[path]:
            kind = "is not a file" if os.path.exists(path) else "does not exist"
            missing.append(f"{cells.where(row)}: {shown(path)} {kind}")
            continue
        rows.append(row)
        files.append(numbers.setdefault(path, len(numbers)))
    paths = [pathlib.Path(path) for path in numbers]
    result = Pictures(np.array(rows, np.int64), paths, np.array(files, np.int64), missing, empty)
    _check(result, column, skip_bad=skip_bad)
    return result


def _plain(path: str) -> str:
    """The path without `..`, unless a link before it makes that another file."""
    plain = os.path.normpath(path)
    if plain == path or not os.path.isfile(path):
        return plain
    same = os.path.isfile(plain) and os.path.samefile(plain, path)
    return plain if same else path


def _check(result: Pictures, column: str, *, skip_bad: bool) -> None:
    if result.missing and (not skip_bad or not len(result.rows)):
        more = len(result.missing) - 1
        others = f", and {more} more row{'s name' if more > 1 else ' names'} no file that does"
        raise DataError(f"{result.missing[0]}{others if more else ''}")
    if not len(result.rows):
        raise DataError(f"the image {table_file.quoted(column)} is empty in every row")


def _are_files(cells: Mapping[str, int]) -> bool:
    some = [cell for cell in list(cells)[:_SAMPLE] if cell]
    return bool(some) and all(cell.lower().endswith(photo.SUFFIXES) for cell in some)
