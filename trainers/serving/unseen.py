"""Counts and describes, by column, values that training never had or that cannot be read."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pipelines.files.shown import shown
from pipelines.files.table_file import NAME

SIGNATURE = "unseen"  # of an export; its outputs are FAULTS, (B, inputs) bool each
FAULTS = {"unknown": "unknown to training", "unreadable": "unreadable"}  # as text
_INSTEAD = {"unknown": "training had", "unreadable": "expected"}
_LINES = 20  # columns that are named
_EXAMPLE = 60  # characters of a value


class Count(NamedTuple):
    """Values of one column with one fault."""

    number: int
    example: str  # the first of them
    where: str  # position of `example`: file and line, or row


Counts = dict[tuple[str, str], Count]  # by column and fault, in the order of their occurrence


def add(
    counts: Counts,
    masks: Mapping[str, np.ndarray],
    columns: Mapping[str, Sequence[Any]],
    where: Sequence[str],
) -> None:
    """Adds the values of a batch.

    Args:
        masks: which values have each of FAULTS: (B, columns) bool.
        columns: (B,) values each, in the same order.
        where: file and line, or row number, of each row.
    """
    for fault in FAULTS:
        for (name, values), wrong in zip(columns.items(), masks[fault].T, strict=True):
            number = int(wrong.sum())
            if number:
                first = int(wrong.argmax())
                before = counts.get((name, fault)) or Count(0, _text(values[first]), where[first])
                counts[name, fault] = before._replace(number=before.number + number)


def lines(counts: Counts, rows: int, expected: Mapping[str, str]) -> list[str]:
    """A line for each column and fault.

    Args:
        rows: number of rows that were counted.
        expected: column -> what training had there.
    """
    described = []
    for (name, fault), (number, example, where) in counts.items():
        line = f"{shown(name, NAME)}: {number} of {rows} values {FAULTS[fault]}, first {example}"
        instead = f"; {_INSTEAD[fault]} {expected[name]}" if name in expected else ""
        described.append(f"{line} ({where}){instead}")
    more = len(described) - _LINES
    return described[:_LINES] + ([f"and {more} more columns"] if more > 0 else [])


def _text(value: Any) -> str:
    return shown(repr(value.decode(errors="replace")), _EXAMPLE)
