"""Which columns of a table are useful, and a printed summary of them."""

import re
from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from pipelines.files import dates, free_text
from pipelines.files.columns import NEARLY_ALL, Column
from pipelines.files.shown import shown
from pipelines.files.table_file import NAME

_IDENTIFIER = re.compile(
    r"(?i:(.*[ _.-])?(id|index|key|no|nr|row)|unnamed.*|(.*[ _.-])?row ?_?(names?|num(ber)?))"
    r"|.*[a-z]I[dD]|"
)
_MEASURE = re.compile(  # names of columns that are measured although they count in steps of 1
    "(?i:x|t|(.*[ _.-])?(time|step|year|month|week|day|hour|minute|second|period|quarter|epoch|age|"
    "depth|distance|dose)s?)"
)
_COUNTER = 0.99  # with at least this fraction of steps of 1, a column counts the rows
_MIN_DISTINCT = 20  # distinct numbers, at least, of a column that counts the rows
_SHOWN = 30  # columns of a wide table that are printed


def unlearnable(column: Column) -> str:
    """Why the column is left out; empty if it is used."""
    present = column.values[~column.missing]
    if not len(present):
        return "all cells are missing"
    if column.distinct == 1 and len(present) == len(column.values):
        return f"all are {_value(column, present[0])}"
    if column.free_text or len(present) < 2 or column.distinct <= NEARLY_ALL * len(present):
        return ""
    if column.kind == "text":
        return "nearly every row has another text"
    named = column.kind == "number" and _IDENTIFIER.fullmatch(column.name)
    return "nearly every row has another number" if named and not (present % 1).any() else ""


def row_numbers(inputs: Sequence[Column], kept: Collection[str] = ()) -> dict[str, str]:
    """Column -> why it is left out, of those that count the rows, unless named like a measurement.

    Empty if no other input would be left to learn from.
    """
    named = {c.name for c in inputs if counts(c) and not _MEASURE.fullmatch(c.name)} - {*kept}
    if all(column.name in named or unlearnable(column) for column in inputs):
        return {}
    shown_of = {name: shown(name, NAME) for name in named}
    return {
        name: f"it counts the rows; keep={text} uses it" if text else "it counts the rows"
        for name, text in shown_of.items()
    }


def counts(column: Column) -> bool:
    """Whether a column of numbers counts the rows of its file from 0 or 1 on.

    Copies of a row with the same number, and a second file that counts from the start, are allowed;
    numbers that occur many times, such as an hour or a year, are not.
    """
    if column.kind != "number" or column.distinct < _MIN_DISTINCT:
        return False
    present = column.values[~np.isnan(column.values)]
    if 3 * column.distinct < len(present) or len(present) < len(column.values):
        return False
    if present[0] not in (0, 1):
        return False
    _, first = np.unique(present, return_index=True)
    steps = np.diff(present[np.sort(first)])
    return bool(np.mean(steps == 1) >= _COUNTER)


def describe(columns: Sequence[Column]) -> list[str]:
    """A short table: name, kind, missing cells, distinct values, range or most frequent value."""
    lines = [f"{'column':24} {'kind':7} {'missing':>8} {'distinct':>9}  values"]
    for column in columns[:_SHOWN]:
        present = column.values[~column.missing]
        if column.free_text:
            words = free_text.mean_words(Counter(t.decode(errors="replace") for t in present))
            values = f"{words:.1f} words on average"
        elif column.kind == "text":
            [(most, times)] = Counter(present.tolist()).most_common(1)
            values = f"{_value(column, most)} ({times} times)"
        else:
            values = f"{_value(column, present.min())} .. {_value(column, present.max())}"
        absent = len(column.values) - len(present)
        name, kind = shown(column.name, 24), _kind(column)
        line = f"{name:24} {kind:7} {absent:8} {column.distinct:9}  {values}"
        lines.append(line)
    more = Counter(_kind(column) for column in columns[_SHOWN:])
    if more:
        lines.append(f"and {', '.join(f'{n} {kind} columns' for kind, n in more.items())} more")
    return lines + [line for column in columns for line in column.remark.splitlines()]


def _kind(column: Column) -> str:
    return "words" if column.free_text else column.kind


def _value(column: Column, value: bytes | float) -> str:
    if isinstance(value, bytes):
        return shown(value.decode(errors="replace"), 30)
    if column.kind == "date":
        return dates.iso(value, column.unit, column.reading.form)
    return f"{value:.6g}"
