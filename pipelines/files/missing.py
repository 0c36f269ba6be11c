"""Which words of a column mean that its cells are missing."""

import itertools
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pipelines.files.readings import Asked
from pipelines.files.shown import shown
from pipelines.files.table_file import MISSING, NAME, number

# Words of the language as well: in a column of texts they may be a value like any other.
_ALSO_VALUES = ("na", "none")
_NO_DATE = ("nat", "0000-00-00", "0000-00-00 00:00:00")  # of pandas, and of MySQL
_LOOKED_AT = 1000  # distinct cells that say whether a column may be one of numbers


class Absent(NamedTuple):
    """How missing cells of a column are spelled."""

    words: tuple[bytes, ...]  # in lower case, "" among them
    spelled: Mapping[str, int]  # cell -> how often it occurs
    values: Mapping[str, int]  # words that could mean missing, and are values -> how often


def absent(counts: Mapping[str, int], asked: Asked) -> Absent:
    """The words that mean missing: those that are asked for, or by evidence.

    In numbers and dates all of MISSING do, and NaT. Of a target's texts only the empty one does.
    Of other texts, "None" and its like do not where other cells are missing in another way, since
    one who writes both tells them apart.

    Args:
        counts: cell -> how often it occurs.
    """
    if asked.missing is not None:
        words = sorted({b"", *map(_lower, asked.missing)})
        values = [number(word) for word in asked.missing if _numeric(word)]
        spelled = {
            cell: n
            for cell, n in counts.items()
            if _lower(cell) in words or (_numeric(cell) and number(cell) in values)
        }
        return Absent(tuple(words), spelled, {})
    found = {cell: n for cell, n in counts.items() if cell.lower() in MISSING}
    others = [cell for cell in itertools.islice(counts, _LOOKED_AT) if cell not in found]
    if not asked.text and 2 * sum(starts_as_number(cell) for cell in others) > len(others):
        dateless = {cell: n for cell, n in counts.items() if cell.lower() in _NO_DATE}
        return Absent(_encoded(MISSING), found | dateless, {})
    if asked.target:
        values = {cell: n for cell, n in found.items() if cell}
        return Absent((b"",), {cell: n for cell, n in found.items() if not cell}, values)
    natural = {cell: n for cell, n in found.items() if cell.lower() in _ALSO_VALUES}
    rest = {cell: n for cell, n in found.items() if cell not in natural}
    if natural and rest:
        words = [word for word in MISSING if word not in {cell.lower() for cell in natural}]
        return Absent(_encoded(words), rest, natural)
    return Absent(_encoded(MISSING), found, {})


def remarks(name: str, found: Absent, asked: Asked) -> list[str]:
    """A line for each word of a column of texts that could be read in another way."""
    lines, name = [], shown(name, NAME)
    for word, n in found.values.items():
        what = "a class" if asked.target else "a value, beside other missing cells"
        lines.append(
            f"{name}: {word!r} ({n} cells) is {what}; missing={name}:{word} makes it missing"
        )
    if asked.missing is None:
        for word, n in found.spelled.items():
            if word.lower() in _ALSO_VALUES:
                lines.append(
                    f"{name}: {word!r} ({n} cells) is taken as missing; missing={name}: makes it a "
                    "value"
                )
    return lines


def _lower(word: str) -> bytes:
    """As tf.strings.lower has it: ASCII letters alone."""
    return word.encode("utf-8", "surrogateescape").lower()


def _encoded(words: Iterable[str]) -> tuple[bytes, ...]:
    return tuple(word.encode() for word in words)


def _numeric(cell: str) -> bool:
    return number(cell) is not None and cell.lower() not in MISSING


def starts_as_number(cell: str) -> bool:
    """Whether a cell may be a number or a date: half of its characters are digits or marks."""
    digits = sum(c.isdigit() or c in "+-.,/:%$€£ " for c in cell)
    return any(c.isdigit() for c in cell) and 2 * digits >= len(cell)
