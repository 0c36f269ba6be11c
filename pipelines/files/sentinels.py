"""Detects sentinels, numbers that mean missing: -999, 9999, 1900-01-01.

The rule has three parts: the form (a repeated digit, 10^k - 1 or its negative, or -1 among numbers
that are never below 0), at least 1 % of the cells, and a gap to the next value that is wider than
the whole range of the others. A number that meets all three is a sentinel; if it meets two, the log
has a line about it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

_MIN_FRACTION = 0.01
_MAX_SENTINELS = 3  # sentinels at either end
_MIN_OTHERS = 5  # distinct other values; with fewer, a gap means nothing
# Seconds from 2000-01-01 to the days that programs write for "no date".
DAYS = {
    -3_155_846_400.0: "1899-12-30",
    -3_155_673_600.0: "1900-01-01",
    -946_684_800.0: "1970-01-01",
    252_455_529_600.0: "9999-12-31",
}


class Sentinels(NamedTuple):
    """The sentinels of a column."""

    certain: tuple[float, ...]
    perhaps: tuple[float, ...]  # two of the three parts of the rule hold


def of_numbers(distinct: np.ndarray, counts: np.ndarray, cells: int) -> Sentinels:
    """Sentinels among numbers.

    Args:
        distinct: (n,) distinct numbers that are not missing, sorted.
        counts: (n,) occurrences of each.
        cells: number of all cells, including missing ones.
    """
    return _detect(distinct, counts, cells, _repeated)


def of_dates(distinct: np.ndarray, counts: np.ndarray, cells: int) -> Sentinels:
    """Sentinels among seconds since 2000: the form is one of DAYS, and two parts may be enough.

    A day that meets two parts of the rule and has at least 1 % of the cells is certain if every
    other day has less than a third of its cells. Arguments as of `of_numbers`.
    """
    candidates = _detect(distinct, counts, cells, lambda day, _: day in DAYS)
    certain = []
    for value in candidates.perhaps:
        others = counts[distinct != value]
        own = counts[distinct == value][0]
        if own >= _MIN_FRACTION * cells and own > 3 * others.max(initial=0):
            certain.append(value)
    perhaps = tuple(v for v in candidates.perhaps if v not in certain and v in DAYS)
    return Sentinels((*candidates.certain, *certain), perhaps)


def _detect(
    distinct: np.ndarray, counts: np.ndarray, cells: int, has_form: Callable[[float, float], bool]
) -> Sentinels:
    if len(distinct) <= _MIN_OTHERS:
        return Sentinels((), ())
    low, high = _ends(distinct, has_form)
    core = distinct[low : len(distinct) - high]
    if len(core) < _MIN_OTHERS:
        return Sentinels((), ())
    certain, perhaps = [], []
    last = len(distinct) - 1
    formed = [*range(low), *range(last + 1 - high, last + 1)]
    others = [i for i, number in ((0, low), (last, high)) if not number]
    for i in sorted([*formed, *others]):
        value, inside = distinct[i], core if i in formed else np.delete(core, 0 if i == 0 else -1)
        width, gap = inside[-1] - inside[0], max(inside[0] - value, value - inside[-1])
        form = i in formed and has_form(value, inside[0])
        often, wide = counts[i] >= _MIN_FRACTION * cells, gap > width
        if form and often and wide:
            certain.append(float(value))
        elif (wide and (form or often)) or (form and often and (4 * gap > width or value == -1)):
            perhaps.append(float(value))
    return Sentinels(tuple(certain), tuple(perhaps))


def _ends(distinct: np.ndarray, has_form: Callable[[float, float], bool]) -> tuple[int, int]:
    """How many of the lowest and of the highest values have the form."""
    low = high = 0
    while low < _MAX_SENTINELS and has_form(distinct[low], distinct[low + 1]):
        low += 1
    while high < _MAX_SENTINELS and has_form(distinct[-1 - high], distinct[low]):
        high += 1
    return low, high


def _repeated(value: float, next_above: float) -> bool:
    """Whether a number has the form of a sentinel."""
    if value == -1:
        return next_above >= 0
    digits = f"{abs(value):.2f}".rstrip("0").rstrip(".").replace(".", "")
    if value != np.floor(value):  # only 99.99 and 999.9
        return set(digits) == {"9"} and len(digits) >= 3
    return (len(digits) >= 2 and len(set(digits)) == 1) or digits == "9"
