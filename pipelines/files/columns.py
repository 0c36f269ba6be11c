"""Columns of a table: their types, inferred from their cells."""

import itertools
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from pipelines.core.pipeline import DataError
from pipelines.files import dates, free_text, missing, numbers, sentinels
from pipelines.files.column_cells import Cells
from pipelines.files.readings import ColumnOptions, Reading
from pipelines.files.shown import shown
from pipelines.files.table_file import LARGEST, MISSING, NAME, number, quoted

NEARLY_ALL = 0.95  # with a larger fraction of distinct cells, a column is an identifier
FEW = 20  # a target of at most this many distinct integers has classes
_MOSTLY = 0.9  # with at least this fraction of numbers or dates, the other cells are errors
_MANY = 20  # with more distinct numbers or dates, a single word is not a value


class Column(NamedTuple):
    """One column, as numbers or as text."""

    name: str
    kind: str  # number, date or text
    values: np.ndarray  # (N,) float64, NaN: missing (of dates, seconds since 2000); or as `sent`
    distinct: int  # number of different values that are not missing
    spelled: Mapping[str, int]  # spelling of missing cells -> their number
    remark: str = ""  # lines for the log
    classes: tuple[str, ...] = ()  # in order, if they are known
    reading: Reading | None = None  # None: a plain number, or text
    sent: np.ndarray | None = None  # (N,) bytes in UTF-8, b"": missing; None: numbers are sent
    unit: str = ""  # of dates: the finest unit in which they differ

    @property
    def free_text(self) -> bool:
        """Whether the column is free text: its features are words, not whole cells."""
        return self.reading is not None and self.reading.kind == "words"

    @property
    def missing(self) -> np.ndarray:
        """Where a cell is missing: (N,) bool."""
        return self.values == b"" if self.kind == "text" else np.isnan(self.values)


class _Known(NamedTuple):
    """The cells of one column, and which of them are missing."""

    name: str
    cells: Cells
    where: Callable[[int], str]  # row -> "file:line", for messages
    absent: missing.Absent  # which spellings mean missing
    present: Mapping[str, int]  # cell that is not missing -> number of occurrences
    remarks: list[str]

    @property
    def shown(self) -> str:
        """The column's name for a message."""
        return shown(self.name, NAME)

    def at(self, cell: str) -> str:
        """The file and line of the first such cell."""
        return self.where(self.cells.row(cell))


def infer(
    name: str, cells: Cells, where: Callable[[int], str], options: ColumnOptions | None = None
) -> Column:
    """The column with its inferred type: number, date or text.

    Args:
        where: row -> "file:line", for messages.
        options: those of this column.

    Raises:
        DataError: nearly all cells are numbers or dates, but not all; or they are ambiguous.
    """
    options = options or ColumnOptions()
    values = None if options.text or options.decimal == "comma" else cells.numbers
    never_dates = options.dates == "number" or options.target
    if values is not None and (
        never_dates or not dates.may_be_digits(cells[0], values, options.missing or ())
    ):
        empty = int(np.isnan(values).sum())
        return number_column(name, values, {"": empty} if empty else {}, options)
    counts = cells.counts
    absent = missing.absent(counts, options)
    present = {cell: n for cell, n in counts.items() if cell not in absent.spelled}
    held = _Known(name, cells, where, absent, present, [])
    if options.text:
        return _text(held, options)
    return _numbers(held, options) or _dates(held, options) or _text(held, options)


def of_texts(
    name: str, cells: Cells, where: Callable[[int], str], options: ColumnOptions | None = None
) -> Column:
    """The column of cells that are texts or dates, but not numbers; arguments as of `infer`."""
    options, counts = options or ColumnOptions(), cells.counts
    absent = missing.absent(counts, options)
    present = {cell: n for cell, n in counts.items() if cell not in absent.spelled}
    held = _Known(name, cells, where, absent, present, [])
    return (None if options.text else _dates(held, options)) or _text(held, options)


def number_column(
    name: str, values: np.ndarray, spelled: Mapping[str, int], options: ColumnOptions | None = None
) -> Column:
    """A column of numbers (N,), in which sentinels become missing."""
    options, remarks = options or ColumnOptions(), []
    known = tuple(v for v in map(_number, options.missing or ()) if v is not None)
    distinct, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    if options.missing is None:
        result = sentinels.of_numbers(distinct, counts, len(values))
        if options.target and len(distinct) <= FEW and not (distinct % 1).any():
            # 99 may be a class.
            result = sentinels.Sentinels((), (*result.certain, *result.perhaps))
        known, remarks = result.certain, _of_sentinels(name, result, "{:.15g}".format, values)
    reading = Reading("number", sentinels=known)
    values = np.where(np.isin(values, known), np.nan, values) if known else values
    number = len(distinct) - int(np.isin(distinct, known).sum())
    return Column(name, "number", values, number, spelled, "\n".join(remarks), reading=reading)


def _numbers(held: _Known, options: ColumnOptions) -> Column | None:
    """The column, if all of its cells are numbers, plain or formatted such as $1,000."""
    plain = {cell: number(cell) for cell in held.present if cell.lower() not in MISSING}
    are_plain = len(plain) == len(held.present) and None not in plain.values()
    if are_plain and not (options.decimal == "comma" and numbers.mark_thousands(plain)):
        parsed = numbers.Written("", plain)
    else:
        parsed = numbers.written(held.name, held.present, held.at, options.decimal, LARGEST)
    if options.dates != "number" and not options.target and held.present and parsed.form == "":
        of_days = dates.digits(held.present)
        if of_days is not None:
            return _date_column(held, options, of_days)
    values_of = parsed.values
    if numbers.are_merged(values_of):
        return None
    if not _decided(held, values_of, "number"):
        return None
    values = _each(held, values_of, np.nan)
    column = number_column(held.name, values, held.absent.spelled, options)
    if options.target:
        remarks = missing.remarks(held.name, held.absent, options)
        column = column._replace(remark="\n".join([*filter(None, [column.remark]), *remarks]))
    # A column with its own words for missing is sent as text: the exported model knows the words.
    own_words = any(number(word) is None for word in held.absent.spelled) and not options.target
    if not parsed.form and not own_words:
        return column
    remarks = [column.remark] if column.remark else []
    first = next((cell for cell in values_of if number(cell) != values_of[cell]), None)
    if first is not None:
        value = f"{values_of[first]:.15g}"
        read = f"{held.shown}: {shown(repr(first), 40)} is read as {value}"
        remarks.insert(0, f"{read}; as text: categories={held.shown}")
    reading = column.reading._replace(form=parsed.form or "point", words=held.absent.served)
    return column._replace(remark="\n".join(remarks), reading=reading, sent=_sent(held))


def _dates(held: _Known, options: ColumnOptions) -> Column | None:
    """The column, if all of its cells are dates or times of day; None for a target."""
    if options.target or not held.present:
        return None
    parsed = dates.detect(held.name, held.present, held.at, options.dates)
    if parsed is None or not _decided(held, parsed.moments, "date"):
        return None
    return _date_column(held, options, parsed)


def _date_column(held: _Known, options: ColumnOptions, parsed: dates.Dates) -> Column:
    values = _each(held, {cell: instant for cell, (instant, _) in parsed.moments.items()}, np.nan)
    known, remarks = (), []
    if options.missing is None:
        distinct, counts = np.unique(values[~np.isnan(values)], return_counts=True)
        certain, perhaps = sentinels.of_dates(distinct, counts, len(values))
        result = sentinels.Sentinels(certain, perhaps)
        spelled = lambda seconds: next(
            cell for cell, moment in parsed.moments.items() if moment[0] == seconds
        )
        known, remarks = certain, _of_sentinels(held.name, result, spelled, values)
    values = np.where(np.isin(values, known), np.nan, values)
    local = np.array([local for instant, local in parsed.moments.values() if instant not in known])
    unit = dates.resolution(local)
    zones = {instant == local for instant, local in parsed.moments.values()}
    where = "" if zones == {True} else "; elapsed time in UTC, hours as they are written"
    how = f"; as numbers: dates={held.shown}:number" if parsed.form.startswith("digits") else ""
    read = (
        f"{held.shown}: {dates.FORMS[parsed.form][2]} in form, by the {unit}{where}; as text: "
        f"categories={held.shown}{how}"
    )
    return Column(
        held.name,
        "date",
        values,
        len(np.unique(values[~np.isnan(values)])),
        held.absent.spelled,
        "\n".join([read, *held.remarks, *remarks]),
        reading=Reading("date", parsed.form, held.absent.served, known),
        sent=_sent(held),
        unit=unit,
    )


def _text(held: _Known, options: ColumnOptions) -> Column:
    values, absent = _sent(held), held.absent
    remarks = [*held.remarks, *missing.remarks(held.name, absent, options)]
    first = next(filter(missing.starts_as_number, held.present), None)
    inferred = not (options.text or options.target)
    if inferred and not (remarks or first is None) and _look_like_numbers(held):
        remarks = [
            f"{held.shown}: cells such as {shown(repr(first), 40)} are taken as text, being "
            "neither numbers nor dates of one form"
        ]
    free = inferred and free_text.is_free(held.present)
    reading = Reading("words" if free else "text", words=absent.served)
    if free and len(held.present) <= NEARLY_ALL * sum(held.present.values()):
        remarks.append(f"{held.shown}: free text; as a category: categories={held.shown}")
    spelled = absent.spelled
    return Column(
        held.name,
        "text",
        values,
        len(held.present),
        spelled,
        "\n".join(remarks),
        reading=reading,
        sent=values,
    )


def _look_like_numbers(held: _Known) -> bool:
    """Whether most texts look like numbers or dates, and not like codes (digits only)."""
    some = list(itertools.islice(held.present, 1000))
    return 2 * sum(missing.starts_as_number(c) and not c.isdigit() for c in some) > len(some)


def _decided(held: _Known, known: Mapping[str, object], kind: str) -> bool:
    """Whether all cells of a column are numbers, or dates: those in `known`.

    Raises:
        DataError: nearly all are.
    """
    others = [cell for cell in held.present if cell not in known]
    if not others:
        return True
    wrong, present = sum(held.present[cell] for cell in others), sum(held.present.values())
    first = f"{held.at(others[0])}: column {quoted(held.name)}: {shown(repr(others[0]), 40)}"
    # A single word among many distinct numbers is not a value.
    word = len(others) == 1 and (kind == "date" or not re.search("[0-9,|]", others[0]))
    marked = word and len(held.present) > _MANY and 2 * wrong < present
    if marked or wrong <= (1 - _MOSTLY) * present:
        means = f", write --pipeline_options=missing={held.shown}:{others[0]} if it means that"
        raise DataError(
            f"{first} is not a {kind}, {present - wrong} others are: correct it, leave it "
            f"empty{means if word and len(others[0]) <= 40 else ''}, or take all as text "
            f"with --pipeline_options=categories={held.shown}"
        )
    if 2 * wrong < present:
        held.remarks.append(f"taken as text for {wrong} cells, first {first}")
    return False


def _of_sentinels(
    name: str, result: sentinels.Sentinels, spelled: Callable[[float], str], values: np.ndarray
) -> list[str]:
    count, name = lambda value: int(np.sum(values == value)), shown(name, NAME)
    lines = [
        f"{name}: {spelled(value)} ({count(value)} cells) is taken as missing; missing={name}: "
        "makes it a value"
        for value in result.certain
    ]
    return lines + [
        f"{name}: does {spelled(value)} ({count(value)} cells) mean missing? Then write "
        f"--pipeline_options=missing={name}:{spelled(value)}"
        for value in result.perhaps
    ]


def _each(held: _Known, known: Mapping[str, float], absent: float) -> np.ndarray:
    distinct = held.cells.coded.distinct
    return held.cells.each(np.array([known.get(cell, absent) for cell in distinct], np.float64))


def _sent(held: _Known) -> np.ndarray:
    texts = np.empty(len(held.cells.coded.distinct), object)
    texts[:] = [
        cell.encode("utf-8", "surrogateescape") if cell in held.present else b""
        for cell in held.cells.coded.distinct
    ]
    return held.cells.each(texts)


def _number(word: str) -> float | None:
    return number(word) if word.lower() not in MISSING else None
