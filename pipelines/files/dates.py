"""Detects columns of dates or times of day, and their form, from all of their cells."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import numpy as np

from pipelines.core.pipeline import DataError
from pipelines.files.shown import shown
from pipelines.files.table_file import NAME, number, quoted
from pipelines.steps.dates import DAY_SECONDS, FORMS, Moments, read

_FEW_DIGITS = 4  # fewer distinct numbers such as 20240131 may be anything
_FEW_MONTHS, _FEW_YEARS = 12, 2  # the same for 202401, which more numbers look like by chance
# Number of digits -> the form of date that a number may have; texts have it only by chance.
_OF_LENGTH = {6: "digits_month", 8: "digits", 12: "digits_time", 14: "digits_time"}
_ONLY_NUMBERS = ("digits_month", "digits_time")
_LOOKED_AT = 100  # distinct cells that are tested for being dates
_YEARS = ("18", "19", "20", "21")


class Dates(NamedTuple):
    """The date form of a column, and the moments of its cells."""

    form: str
    moments: Mapping[str, tuple[float, float]]  # cell -> (instant, local); others cannot be read


def detect(
    name: str, cells: Mapping[str, int], where: Callable[[str], str], order: str = ""
) -> Dates | None:
    """The date form of most cells; None: no form fits half of them.

    Args:
        cells: cell -> number of occurrences, without missing cells.
        where: cell -> "file:line", for messages.
        order: day_first or month_first; empty: inferred.

    Raises:
        DataError: every cell fits both day/month and month/day; or more cells fit the other order
            than `order`.
    """
    some = list(cells)[:: max(1, len(cells) // _LOOKED_AT)]
    forms = [
        form
        for form, (expression, _, _) in FORMS.items()
        if form not in _ONLY_NUMBERS and any(re.fullmatch(expression, cell) for cell in some)
    ]
    read_by = {form: _read(cells, form) for form in forms}
    readable = {form: sum(cells[cell] for cell in known) for form, known in read_by.items()}
    other = {"day_first": "month_first", "month_first": "day_first"}.get(order)
    if other in readable:
        if readable[other] > readable.get(order, 0) and 2 * readable[other] >= sum(cells.values()):
            cell = next(c for c in cells if c not in read_by.get(order, ()))
            raise DataError(f"{where(cell)}: column {quoted(name)}: {cell!r} is not {order}")
        del readable[other], read_by[other]
    best = max(readable, key=readable.get, default="")
    if not best or 2 * readable[best] < sum(cells.values()):
        return None
    other = {"day_first": "month_first", "month_first": "day_first"}.get(best)
    alike = other in read_by and read_by[other].keys() == read_by[best].keys()
    if alike and len(cells) > 1:
        one, two = read_by[best], read_by[other]
        cell = next((cell for cell in one if one[cell] != two[cell]), next(iter(one)))
        option = f"dates={shown(name, NAME)}"
        raise DataError(
            f"{where(cell)}: column {quoted(name)}: {cell!r} may be {_shown(cell, 'day_first')} or "
            f"{_shown(cell, 'month_first')}, and no other cell says which: write "
            f"--pipeline_options={option}:day_first or {option}:month_first"
        )
    return Dates(best, read_by[best])


def may_be_digits(cell: str, values: np.ndarray, absent: Collection[str] = ()) -> bool:
    """Whether numbers (N,), one of which is `cell`, may be dates such as 20240131.

    Args:
        absent: words that mean missing; values equal to one of them are ignored.
    """
    if not absent and cell and len(cell) not in _OF_LENGTH:
        return False
    known = [value for value in map(number, absent) if value is not None]
    present = values[~(np.isnan(values) | np.isin(values, known))]
    lengths = _OF_LENGTH if len(present) else ()
    low, high = (present.min(), present.max()) if lengths else (0, 0)
    return any(18 * 10.0 ** (n - 2) < low and high < 22 * 10.0 ** (n - 2) for n in lengths)


def digits(cells: Mapping[str, int]) -> Dates | None:
    """Numbers such as 20240131, 202401 or 20240131235959 as dates; None: not all are dates."""
    length = len(next(iter(cells), ""))
    form = _OF_LENGTH.get(length)
    if form is None or len(cells) < _FEW_DIGITS:
        return None
    if any(len(cell) != length or cell[:2] not in _YEARS for cell in cells):
        return None
    few = len(cells) < _FEW_MONTHS or len({cell[:4] for cell in cells}) < _FEW_YEARS
    if form == "digits_month" and few:
        return None
    known = _read(cells, form)
    return Dates(form, known) if len(known) == len(cells) else None


def resolution(local: np.ndarray) -> str:
    """The finest unit in which moments (N,), in seconds since 2000, differ."""
    local = local[np.isfinite(local)]
    for unit, seconds in (("second", 60.0), ("minute", 3600.0), ("hour", DAY_SECONDS)):
        if (local % seconds != 0).any():
            return unit
    days = np.datetime64("2000-01-01") + (local / DAY_SECONDS).astype("timedelta64[D]")
    if (days != days.astype("datetime64[M]")).any():
        return "day"
    return "month" if (days != days.astype("datetime64[Y]")).any() else "year"


def iso(seconds: float, unit: str, form: str) -> str:
    """An instant as ISO text, in the column's resolution."""
    moment = np.datetime64("2000-01-01T00:00:00") + np.timedelta64(round(seconds), "s")
    text = str(moment)[: {"year": 4, "month": 7, "day": 10, "hour": 16, "minute": 16}.get(unit, 19)]
    return text.partition("T")[2] if form == "clock" else text.replace("T", " ")


def _read(cells: Mapping[str, int], form: str) -> dict[str, tuple[float, float]]:
    matching = [cell for cell in cells if re.fullmatch(FORMS[form][0], cell)]
    moments: Moments = read([cell.encode() for cell in matching], form)
    pairs = zip(moments.instant.tolist(), moments.local.tolist(), strict=True)
    return {cell: pair for cell, pair in zip(matching, pairs, strict=True) if np.isfinite(pair[0])}


def _shown(cell: str, form: str) -> str:
    [(_, local)] = _read({cell: 1}, form).values()
    return iso(local, "day", form)
