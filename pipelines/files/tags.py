"""Several labels in a cell, red|big, as columns of 0 and 1."""

from collections.abc import Sequence

import numpy as np

from pipelines.core.pipeline import DataError
from pipelines.files.column_cells import Cells
from pipelines.files.columns import Column
from pipelines.files.misplaced import NONE, parts_of, separator
from pipelines.files.shown import shown
from pipelines.files.table_file import NAME, quoted

_MARK = "|"
_MAX_LABELS = 1000


def mark_of(cells: Cells, option: str) -> str:
    """The separator of several labels in a cell; empty: cells are not split.

    Args:
        option: value of the option; empty: | if recurring labels show that it is the separator.
    """
    return option or (_MARK if separator(cells) == _MARK else "")


def columns(name: str, cells: Cells, mark: str, rows: np.ndarray) -> list[Column]:
    """A column of 0 and 1 for each label, in alphabetical order, for these `rows` (M,).

    An empty cell is missing in all of them; `none`, `-` and `[]` are rows without a label.

    Raises:
        DataError: there are no labels, or too many different ones.
    """
    distinct, codes = cells.coded
    used = set(codes[rows].tolist())
    labels_of = [
        set() if cell.lower() in NONE else set(parts_of(cell, mark)) if i in used else set()
        for i, cell in enumerate(distinct)
    ]
    labels = sorted(set().union(*labels_of))
    if not labels:
        raise DataError(f"the target {quoted(name)} has no labels between {mark!r}")
    if len(labels) > _MAX_LABELS:
        some = ", ".join(shown(label, 30) for label in labels[:5])
        raise DataError(
            f"the target {quoted(name)} has {len(labels)} different labels, more than "
            f"{_MAX_LABELS}: {some}"
        )
    empty = np.array([not cell for cell in distinct])
    return [_column(label, labels_of, empty, codes[rows]) for label in labels]


def remark(name: str, mark: str, labels: Sequence[Column], by_option: bool) -> str:
    """A line for the log about a target whose cells were split into labels."""
    undo = "" if by_option else "; task=classification makes each combination a class"
    return (
        f"{shown(name, NAME)}: cells are taken as labels separated by {shown(mark, 10)}, "
        f"{len(labels)} different ones{undo}"
    )


def _column(label: str, labels_of: Sequence[set], empty: np.ndarray, codes: np.ndarray) -> Column:
    values = np.array([float(label in one) for one in labels_of])
    values[empty] = np.nan
    return Column(label, "number", values[codes], 2, {})
