"""Formatted numbers such as $1,039.92, 12 %, 1.234,50 or (12.00), and the forms of their columns.

A form is the decimal mark, "point" or "comma", and, after a space, the unit if there is one. Cells
may omit the unit, except for percent. Patterns work in Python and in RE2.
"""

import functools
import itertools
import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from pipelines.core.pipeline import DataError
from pipelines.files.shown import shown
from pipelines.files.table_file import EXACT, NAME, quoted

UNITS = (
    *("US$", "A$", "C$", "R$", "$", "€", "£", "¥", "₹", "₩", "₽", "%"),
    *("USD", "EUR", "GBP", "CHF", "JPY", "INR", "CAD", "AUD", "CNY", "SEK", "NOK", "DKK", "Rs."),
)
SPACES = "[ '\u2019\u00a0\u202f]"  # thousands separators, besides the non-decimal mark
_MARKS = {"point": (",", r"\."), "comma": (r"\.", ",")}  # thousands, decimal
_LOOKED_AT = 1000  # distinct cells that are tested for a unit and for numbers
_SIGN = "[+\u2212-]?"  # also the typographic minus sign
_UNIT = "(?:" + "|".join(re.escape(unit) for unit in UNITS) + ")"


class Written(NamedTuple):
    """How a column of numbers is written, and its values."""

    form: str  # "": all readable cells are plain numbers
    values: Mapping[str, float]  # readable cell -> its value


@functools.cache
def pattern(form: str) -> str:
    """The regular expression that matches cells of a form."""
    decimal, _, unit = form.partition(" ")
    thousands, mark = _MARKS[decimal]
    group = f"(?:{thousands}|{SPACES})"
    whole = f"(?:[1-9][0-9]{{0,2}}(?:{group}[0-9]{{2,3}})*{group}[0-9]{{3}}|0|[1-9][0-9]*)"
    body = f"(?:{whole}(?:{mark}[0-9]*)?|{mark}[0-9]+)(?:[eE][+-]?[0-9]+)?"
    one = re.escape(unit)
    if unit == "%":
        return f"{_SIGN}{body} ?%"
    before, after = (f"(?:{one} ?)?", f"(?: ?{one})?") if unit else ("", "")
    # At most one sign, on either side of the unit: never --5 or +-0.5.
    signed = f"(?:{_SIGN}{before}|{before}{_SIGN})" if unit else _SIGN
    return f"(?:{signed}{body}{after}|\\({before}{body}{after}\\))"


def value(cell: str, form: str) -> float | None:
    """The value of a cell; None: it does not have this form."""
    if not re.fullmatch(pattern(form), cell):
        return None
    decimal, _, unit = form.partition(" ")
    thousands, mark = _MARKS[decimal]
    plain = cell.replace(unit, "") if unit else cell
    plain = re.sub(f"{thousands}|{SPACES}|[()]", "", plain)
    number = float(re.sub(mark, ".", plain).replace("\u2212", "-"))
    return -number if cell.startswith("(") else number


def written(
    name: str,
    cells: Mapping[str, int],
    where: Callable[[str], str],
    decimal: str = "",
    largest: float = math.inf,
) -> Written:
    """The form that most cells have, with their values.

    Args:
        cells: cell -> number of occurrences, without missing cells.
        where: cell -> "file:line", for messages.
        decimal: "point" or "comma"; empty: inferred.
        largest: largest absolute value that is accepted.

    Raises:
        DataError: 1,234 may be 1234 or 1.234, and no other cell decides it.
    """
    some = dict(itertools.islice(cells.items(), _LOOKED_AT))
    unit = _unit(some)
    if not any(value(c, f"{mark} {unit}".strip()) is not None for mark in _MARKS for c in some):
        return Written("", {})
    read = {}
    for mark in (decimal,) if decimal else ("point", "comma"):
        form = f"{mark} {unit}".strip()
        parsed = {cell: value(cell, form) for cell in cells}
        read[mark] = {c: v for c, v in parsed.items() if v is not None and abs(v) <= largest}
    number = {mark: sum(cells[cell] for cell in values) for mark, values in read.items()}
    best = max(number, key=number.get)
    other = "comma" if best == "point" else "point"
    # If neither mark fits every cell, the column is text or an error with either: nothing to ask.
    if number.get(other) == number[best] == sum(cells.values()):
        best = _unambiguous(name, read, unit, where)
    marked = unit or any(re.search(f",|{SPACES}|[()\u2212]", cell) for cell in read[best])
    return Written(f"{best} {unit}".strip() if marked or best == "comma" else "", read[best])


def _unambiguous(
    name: str, read: Mapping[str, Mapping[str, float]], unit: str, where: Callable[[str], str]
) -> str:
    """Point or comma, if the same number of cells can be read with both."""
    point, comma = read["point"], read["comma"]
    differing = [cell for cell in point if comma.get(cell) != point[cell]]
    if not differing or (not unit and not any("," in cell for cell in point)):
        return "point"
    whole = [abs(value) for cell, value in point.items() if comma.get(cell) == value]
    if whole and all("," in cell for cell in differing):
        # Thousands are marked everywhere or nowhere.
        return "point" if max(whole) < 1000 else "comma"
    cell, option = differing[0], f"decimal={shown(name, NAME)}"
    raise DataError(
        f"{where(cell)}: column {quoted(name)}: {cell!r} may be {point[cell]:g} or "
        f"{comma[cell]:g}, and no other cell says which: write --pipeline_options={option}:point "
        f"or {option}:comma"
    )


def _unit(cells: Mapping[str, int]) -> str:
    """The most frequent unit; empty: there is none, or it is % in fewer than half of the cells."""
    counts = dict.fromkeys(UNITS, 0)
    expected = re.compile(f"[-+(]*({_UNIT})|.*?[0-9.,] ?({_UNIT})\\)?")
    for cell, number in cells.items():
        match = expected.fullmatch(cell) or re.match(f"[-+(]*({_UNIT})", cell)
        if match and any("0" <= c <= "9" for c in cell):
            counts[next(filter(None, match.groups()))] += number
    unit = max(counts, key=counts.get)
    if not counts[unit] or (unit == "%" and 2 * counts[unit] < sum(cells.values())):
        return ""
    return unit


def mark_thousands(cells: Collection[str]) -> bool:
    """Whether plain numbers may have points for thousands: 1.234 and 999, but no 1.5."""
    if not any("." in cell for cell in cells):
        return False
    return all(value(c, "comma") is not None and "e" not in c.lower() for c in cells)


def are_merged(values: Mapping[str, float]) -> bool:
    """Whether two different whole numbers are equal in float64, as codes of 17 digits may be.

    Args:
        values: distinct cell -> its value.
    """
    large = {cell: value for cell, value in values.items() if value and abs(value) > EXACT}
    whole = {int(cell): value for cell, value in large.items() if cell.lstrip("+-").isdecimal()}
    return len(set(whole.values())) < len(whole)
