"""Reads dates and times of day from texts in TensorFlow operations: instants and calendar parts.

Patterns work in both Python and RE2. A form is a key of FORMS; all cells of a column have the same
form. Instants are seconds since 2000-01-01 in float64, which resolves microseconds.
"""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

DAY_SECONDS = 86_400.0

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_YEAR, _SHORT = "([12][0-9]{3}|9999)", "([12][0-9]{3}|9999|[0-9]{2})"
_MONTH, _DAY = "(0?[1-9]|1[0-2])", "(0?[1-9]|[12][0-9]|3[01])"
_NAME = (
    "(?i:(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
    "(?:uary|ruary|ch|il|e|y|ust|t|tember|ober|ember)?)"
)
_WEEKDAY = "(?i:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? )?"
_ZONE = "(?: ?(?:Z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?))?"
_HOUR, _SIXTY = "(?:[01]?[0-9]|2[0-3])", "[0-5][0-9]"
_REST = f"(?: ?(?i:[ap]\\.?m\\.?))?{_ZONE}"
_TIME = f"({_HOUR}:?{_SIXTY}(?::?{_SIXTY}(?:[.,][0-9]+)?)?{_REST})"
_CLOCK = f"({_HOUR}:{_SIXTY}(?::{_SIXTY}(?:[.,][0-9]+)?)?{_REST})"
_TIME_GROUPS = (
    f"({_HOUR}):?({_SIXTY})(?::?({_SIXTY}(?:[.,][0-9]+)?))? ?(?i:([ap])\\.?m\\.?)? ?([^0-9].*)?"
)
_AFTER = f"(?:(?:[Tt]| |, ?){_TIME})?"
# Form -> (expression with groups, its replacement "year-month-day|time" by their numbers, example).
FORMS: Mapping[str, tuple[str, str, str]] = {
    "year_first": (f"{_YEAR}[-/.]{_MONTH}[-/.]{_DAY}{_AFTER}", r"\1-\2-\3|\4", "2024-01-31"),
    "day_first": (
        f"{_DAY}(?:[-/]{_MONTH}[-/]{_SHORT}|\\.{_MONTH}\\.{_YEAR}|\\.(0[1-9]|1[0-2])\\.([0-9]{{2}}))"
        f"{_AFTER}",
        r"\3\5\7-\2\4\6-\1|\8",
        "31/01/2024",
    ),
    "month_first": (f"{_MONTH}[-/]{_DAY}[-/]{_SHORT}{_AFTER}", r"\3-\1-\2|\4", "01/31/2024"),
    "month": (f"{_YEAR}[-/](0[1-9]|1[0-2])", r"\1-\2-1|", "2024-01"),
    "month_year": (f"{_MONTH}[-/]{_YEAR}", r"\2-\1-1|", "01/2024"),
    "digits": (
        f"{_YEAR}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01]){_AFTER}",
        r"\1-\2-\3|\4",
        "20240131",
    ),
    "digits_month": (f"{_YEAR}(0[1-9]|1[0-2])", r"\1-\2-1|", "202401"),
    "digits_time": (
        f"{_YEAR}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])"
        f"((?:[01][0-9]|2[0-3]){_SIXTY}(?:{_SIXTY})?)",
        r"\1-\2-\3|\4",
        "20240131235959",
    ),
    "name_first": (
        f"{_WEEKDAY}{_NAME}[. -]? ?{_DAY}(?i:st|nd|rd|th)?,?[ -]{_SHORT}{_AFTER}",
        r"\3-\1-\2|\4",
        "Jan 31, 2024",
    ),
    "name_second": (
        f"{_WEEKDAY}{_DAY}(?i:st|nd|rd|th)?[. -]? ?{_NAME}[., -]? ?{_SHORT}{_AFTER}",
        r"\3-\2-\1|\4",
        "31 Jan 2024",
    ),
    "name_year": (f"{_NAME}[., -]? ?{_SHORT}", r"\2-\1-1|", "Jan 2024"),
    "year_name": (f"{_YEAR}[., -]? ?{_NAME}", r"\1-\2-1|", "2024 Jan"),
    # As C's ctime writes it, and as web servers do.
    "name_time_year": (
        f"{_WEEKDAY}{_NAME} {{1,2}}{_DAY} {_TIME} {_YEAR}",
        r"\4-\1-\2|\3",
        "Wed Jan 31 23:59:59 2024",
    ),
    "name_log": (f"{_DAY}/{_NAME}/{_YEAR}:{_TIME}", r"\3-\2-\1|\4", "31/Jan/2024:23:59:59"),
    "quarter": (f"{_YEAR}[ -]?(?i:(q[1-4]))", r"\1-\2-1|", "2024 Q1"),
    "quarter_year": (f"(?i:(q[1-4]))[ -]?{_YEAR}", r"\2-\1-1|", "Q1 2024"),
    "clock": (_CLOCK, r"2000-1-1|\1", "23:59"),
}


class Moments(NamedTuple):
    """Texts (B,) as moments; NaN and 0 for texts that are not dates."""

    instant: tf.Tensor  # seconds since 2000-01-01 in UTC; without a zone, as if it were UTC
    local: tf.Tensor  # the same for the local time that the text shows
    month: tf.Tensor  # int32, 1 to 12
    day: tf.Tensor  # 1 to 31


def moments(text: tf.Tensor, form: str) -> Moments:
    """The moments that texts (B,) of a form denote. Two-digit years are 1969 to 2068."""
    expression, order, _ = FORMS[form]
    text = tf.strings.strip(text)
    known = tf.strings.regex_full_match(text, expression)
    parts = tf.strings.regex_replace(text, f"^{expression}$", order)
    for name, number in _named_months(form).items():
        parts = tf.strings.regex_replace(parts, f"(?i:-{name}-)", f"-{number}-")
    parts = tf.where(known, parts, "2000-1-1|")
    date, time = (tf.strings.regex_replace(parts, r"^(.*)\|(.*)$", g) for g in (r"\1", r"\2"))
    year, month, day = (
        _whole(tf.strings.regex_replace(date, "^([0-9]+)-([0-9]+)-([0-9]+)$", group))
        for group in (r"\1", r"\2", r"\3")
    )
    year += tf.where(year < 69, 2000, tf.where(year < 100, 1900, 0))
    known &= day <= _month_length(year, month)
    seconds, shift = _clock(time)
    local = tf.cast(_day_number(year, month, day), tf.float64) * DAY_SECONDS + seconds
    nan = tf.constant(float("nan"), tf.float64)
    none = tf.zeros_like(month)
    return Moments(
        instant=tf.where(known, local - shift, nan),
        local=tf.where(known, local, nan),
        month=tf.where(known, month, none),
        day=tf.where(known, day, none),
    )


def calendar(moment: Moments) -> dict[str, tf.Tensor]:
    """Month 01 to 12, day 01 to 31, weekday 1 (Monday) to 7, hour 00 to 23, as texts (B,)."""
    known = tf.math.is_finite(moment.local)
    local = tf.where(known, moment.local, tf.zeros_like(moment.local))
    days = tf.math.floor(local / DAY_SECONDS)
    hour = tf.cast(tf.math.floor((local - days * DAY_SECONDS) / 3600.0), tf.int32)
    weekday = (tf.cast(days, tf.int32) + 5) % 7 + 1  # 2000-01-01 was a Saturday
    numbers = {"month": (moment.month, 2), "weekday": (weekday, 1), "day": (moment.day, 2)}
    numbers["hour"] = (hour, 2)
    return {
        name: tf.where(known, tf.strings.as_string(number, width=width, fill="0"), "")
        for name, (number, width) in numbers.items()
    }


def time_of_day(moment: Moments) -> tf.Tensor:
    """Hours since midnight (B,) float64, NaN where there is no date."""
    return (moment.local - tf.math.floor(moment.local / DAY_SECONDS) * DAY_SECONDS) / 3600.0


@functools.cache
def _graph(form: str):
    """`moments` as one graph for any number of texts."""
    function = tf.function(lambda text: moments(text, form), autograph=False)
    return function.get_concrete_function(tf.TensorSpec((None,), tf.string))


def read(texts: list[bytes], form: str) -> Moments:
    """`moments` in NumPy."""
    with tf.device("CPU:0"):
        return Moments(*(t.numpy() for t in _graph(form)(tf.constant(texts, tf.string))))


def _named_months(form: str) -> dict[str, int]:
    """The names of a form's months, unless they are numbers; a quarter is its first month."""
    if form.startswith("quarter"):
        return {"q1": 1, "q2": 4, "q3": 7, "q4": 10}
    return {name: i for i, name in enumerate(_MONTHS, start=1)} if "name" in form else {}


def _clock(time: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Seconds since midnight and the zone's offset from UTC in seconds, of "" or a time (B,)."""
    group = lambda i: tf.strings.regex_replace(time, f"^{_TIME_GROUPS}$", rf"\{i}")
    empty = tf.equal(time, "")
    fill = lambda text: tf.where(empty | tf.equal(text, ""), "0", text)
    hour, minute = _whole(fill(group(1))), _whole(fill(group(2)))
    second = tf.strings.regex_replace(fill(group(3)), ",", ".")
    am_pm = tf.where(empty, "", tf.strings.lower(group(4)))
    hour = tf.where(tf.equal(am_pm, ""), hour, hour % 12 + tf.where(tf.equal(am_pm, "p"), 12, 0))
    seconds = tf.strings.to_number(second, tf.float64)
    seconds += tf.cast(hour * 3600 + minute * 60, tf.float64)

    zone = tf.where(empty, "", group(5))
    signed = "^([+-])([0-9]{2}):?([0-9]{2})?$"
    has_offset = tf.strings.regex_full_match(zone, signed)
    zone = tf.where(has_offset, zone, "+00")
    sign = tf.where(tf.equal(tf.strings.substr(zone, 0, 1), "-"), -1, 1)
    hours = _whole(tf.strings.regex_replace(zone, signed, r"\2"))
    minutes = tf.strings.regex_replace(zone, signed, r"\3")
    minutes = _whole(tf.where(tf.equal(minutes, ""), "0", minutes))
    return seconds, tf.cast(sign * (hours * 3600 + minutes * 60), tf.float64)


def _whole(text: tf.Tensor) -> tf.Tensor:
    return tf.strings.to_number(text, tf.int32)


def _month_length(year: tf.Tensor, month: tf.Tensor) -> tf.Tensor:
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    february = tf.where(leap, 29, 28)
    return tf.where(tf.equal(month, 2), february, 31 - (month - 1) % 7 % 2)


def _day_number(year: tf.Tensor, month: tf.Tensor, day: tf.Tensor) -> tf.Tensor:
    """Days from 2000-01-01."""
    # Years from March on: howardhinnant.github.io/date_algorithms.html, days_from_civil.
    year -= tf.cast(month <= 2, tf.int32)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + of_year - 730_425
