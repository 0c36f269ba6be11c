"""Which words in a column mean that a cell is missing."""

import itertools
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pipelines.files.readings import ColumnOptions
from pipelines.files.shown import shown
from pipelines.files.table_file import MISSING, NAME, number

# Ordinary words too: in a column of texts they may be values.
_ALSO_VALUES = ("na", "none")
_NO_DATE = ("nat", "0000-00-00", "0000-00-00 00:00:00")  # of pandas, and of MySQL
_LOOKED_AT = 1000  # distinct cells that are tested for being numbers


class Absent(NamedTuple):
    """How missing cells of a column are spelled."""

    words: tuple[bytes, ...]  # in lower case, including ""
    spelled: Mapping[str, int]  # missing cell -> number of occurrences
    values: Mapping[str, int]  # word that could mean missing but is a value -> its occurrences

    @property
    def served(self) -> tuple[bytes, ...]:
        """What means missing in the exported model: `words`, and other spellings such as NaT."""
        return tuple(dict.fromkeys((*self.words, *map(_lower, self.spelled))))


def absent(counts: Mapping[str, int], options: ColumnOptions) -> Absent:
    """The words that mean missing: those that the options name, otherwise inferred ones.

    In columns of numbers or dates these are all of MISSING, NaT and 0000-00-00; in a target of
    texts, only the empty cell. In other texts, "None" and "NA" are values if other cells are
    missing in another spelling, since whoever writes both distinguishes them.

    Args:
        counts: cell -> number of occurrences.
    """
    if options.missing is not None:
        words = sorted({b"", *map(_lower, options.missing)})
        values = [number(word) for word in options.missing if _numeric(word)]
        spelled = {
            cell: n
            for cell, n in counts.items()
            if _lower(cell) in words or (_numeric(cell) and number(cell) in values)
        }
        return Absent(tuple(words), spelled, {})
    matches = {cell: n for cell, n in counts.items() if cell.lower() in MISSING}
    others = [cell for cell in itertools.islice(counts, _LOOKED_AT) if cell not in matches]
    if not options.text and 2 * sum(starts_as_number(cell) for cell in others) > len(others):
        dateless = {cell: n for cell, n in counts.items() if cell.lower() in _NO_DATE}
        return Absent(_encoded(MISSING), matches | dateless, {})
    if options.target:
        values = {cell: n for cell, n in matches.items() if cell}
        return Absent((b"",), {cell: n for cell, n in matches.items() if not cell}, values)
    natural = {cell: n for cell, n in matches.items() if cell.lower() in _ALSO_VALUES}
    rest = {cell: n for cell, n in matches.items() if cell not in natural}
    if natural and rest:
        words = [word for word in MISSING if word not in {cell.lower() for cell in natural}]
        return Absent(_encoded(words), rest, natural)
    return Absent(_encoded(MISSING), matches, {})


def remarks(name: str, missing_cells: Absent, options: ColumnOptions) -> list[str]:
    """A line for each word of a text column that may or may not mean missing."""
    lines, name = [], shown(name, NAME)
    for word, n in missing_cells.values.items():
        what = "a class" if options.target else "a value, beside other missing cells"
        lines.append(
            f"{name}: {word!r} ({n} cells) is {what}; missing={name}:{word} makes it missing"
        )
    if options.missing is None:
        for word, n in missing_cells.spelled.items():
            if word.lower() in _ALSO_VALUES:
                lines.append(
                    f"{name}: {word!r} ({n} cells) is taken as missing; missing={name}: makes it a "
                    "value"
                )
    return lines


def _lower(word: str) -> bytes:
    """Lower case as in tf.strings.lower: ASCII letters only."""
    return word.encode("utf-8", "surrogateescape").lower()


def _encoded(words: Iterable[str]) -> tuple[bytes, ...]:
    return tuple(word.encode() for word in words)


def _numeric(cell: str) -> bool:
    return number(cell) is not None and cell.lower() not in MISSING


def starts_as_number(cell: str) -> bool:
    """Whether a cell may be a number or a date: at least half of it are digits or their marks."""
    digits = sum(c.isdigit() or c in "+-.,/:%$€£ " for c in cell)
    return any(c.isdigit() for c in cell) and 2 * digits >= len(cell)
