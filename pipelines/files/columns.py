"""Columns of a table: their types, inferred from their cells, and which of them are useful."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipelines.core.pipeline import DataError
from pipelines.files.table_file import LARGEST, MISSING, number

DATE = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ].*)?"  # for Python and for RE2
_MOSTLY = 0.99  # fraction of numbers from which on the other cells of a column are errors
_COMMAS = re.compile(r"[+-]?[0-9.]*(,[0-9]+)+(\.[0-9]+)?")  # 3,14 or 1,234.50
_NOT_PLAIN = re.compile(r"(?m)[^0-9eE.+\-\n]|^[+-]?0[0-9]")  # other than 1.5e-3, or 007
_IDENTIFIER = re.compile(r"(?i:(.*[ _.-])?(id|index|key|no|nr|row))|.*[a-z]I[dD]|")
_NEARLY_ALL = 0.95  # fraction of distinct cells from which on a column is an identifier
_SHOWN = 30  # columns of a wide table that are printed


class Column(NamedTuple):
    """One column, as numbers or as text."""

    name: str
    kind: str  # number, date or text
    values: np.ndarray  # (N,) float64, NaN: missing; or objects, bytes in UTF-8, b"": missing
    distinct: int  # number of different values that are not missing
    spelled: Mapping[str, int]  # spelling of missing cells -> their number
    remark: str = ""
    classes: tuple[str, ...] = ()  # in order, if it is known

    @property
    def missing(self) -> np.ndarray:
        """Where a cell is missing: (N,) bool."""
        return np.isnan(self.values) if self.kind == "number" else self.values == b""


def infer(name: str, cells: Sequence[str], where: Callable[[int], str], text: bool) -> Column:
    """The column with the type of its cells: number, date or text.

    Args:
        where: row -> "file:line", for messages.
        text: whether the type is text in any case.

    Raises:
        DataError: nearly all cells are numbers, but not all; or they have decimal commas.
    """
    values = None if text else _plain_numbers(cells)
    if values is not None:
        empty = cells.count("")
        return _numbers(name, values, {"": empty} if empty else {})
    distinct = set(cells)
    known = {cell: number(cell) for cell in distinct}
    not_numbers = {cell for cell, value in known.items() if value is None}
    spelled = {cell: cells.count(cell) for cell in distinct if cell.lower() in MISSING}
    if not (not_numbers or text):
        values = np.fromiter((known[cell] for cell in cells), np.float64, len(cells))
        return _numbers(name, values, spelled)
    encoded = {cell: b"" if cell in spelled else cell.encode() for cell in distinct}
    values = np.array([encoded[cell] for cell in cells], object)
    column = Column(name, "text", values, len(distinct) - len(spelled), spelled)
    if text:
        return column

    wrong = [i for i, cell in enumerate(cells) if cell in not_numbers]
    present = len(cells) - sum(spelled.values())
    first = f"{where(wrong[0])}: column {name!r}: {cells[wrong[0]][:40]!r}"
    if len(wrong) <= (1 - _MOSTLY) * present:
        raise DataError(
            f"{first} is not a number, {present - len(wrong)} others are: correct it, leave it "
            f"empty, or take all as text with --pipeline_options=categories={name}"
        )
    if all(_COMMAS.fullmatch(cell) for cell in not_numbers):
        raise DataError(f"{first} is a number with a comma: write a decimal point, and 1234 whole")
    if all(re.fullmatch(DATE, cell) for cell in distinct if encoded[cell]):
        return column._replace(kind="date")
    if 2 * len(wrong) < present:
        return column._replace(remark=f"taken as text for {len(wrong)} cells, first {first}")
    return column


def _numbers(name: str, values: np.ndarray, spelled: Mapping[str, int]) -> Column:
    return Column(name, "number", values, len(np.unique(values[~np.isnan(values)])), spelled)


def _plain_numbers(cells: Sequence[str]) -> np.ndarray | None:
    """The values if all cells are plain numbers or empty, otherwise None."""
    if _NOT_PLAIN.search("\n".join(cells)):
        return None
    try:
        values = np.array([float(cell or "nan") for cell in cells])
    except ValueError:
        return None
    return values if np.nanmax(np.abs(values), initial=0.0) < LARGEST else None


def unlearnable(column: Column) -> str:
    """Why the column is left out; empty if it is used."""
    present = column.values[~column.missing]
    if not len(present):
        return "all cells are missing"
    if column.distinct == 1 and len(present) == len(column.values):
        return f"all are {_shown(present[0])}"
    if len(present) < 2 or column.distinct <= _NEARLY_ALL * len(present):
        return ""
    if column.kind == "text":
        return "nearly every row has another text"
    named = column.kind == "number" and _IDENTIFIER.fullmatch(column.name)
    return "nearly every row has another number" if named and not (present % 1).any() else ""


def describe(columns: Sequence[Column]) -> list[str]:
    """A short table: name, kind, missing cells, distinct values, range or most frequent value."""
    lines = [f"{'column':24} {'kind':7} {'missing':>8} {'distinct':>9}  values"]
    for column in columns[:_SHOWN]:
        present = column.values[~column.missing]
        if column.kind == "text":
            [(most, times)] = Counter(present.tolist()).most_common(1)
            values = f"{_shown(most)} ({times} times)"
        else:
            values = f"{_shown(present.min())} .. {_shown(present.max())}"
        missing = len(column.values) - len(present)
        line = f"{column.name[:24]:24} {column.kind:7} {missing:8} {column.distinct:9}  {values}"
        lines.append(line)
    more = Counter(column.kind for column in columns[_SHOWN:])
    if more:
        lines.append(f"and {', '.join(f'{n} {kind} columns' for kind, n in more.items())} more")
    return lines + [column.remark for column in columns if column.remark]


def _shown(value: bytes | float) -> str:
    return value.decode(errors="replace")[:30] if isinstance(value, bytes) else f"{value:.6g}"
