"""Turns raw columns, as a client sends them, into float64 numbers and texts, as training recorded.

A part of the state says how the cells of each column are read (`recorded`). Dates become seconds,
and also texts of their month, weekday, day and hour, which are then treated as categories.
"""

import functools
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pipelines.core.pipeline import DataError, Part, Rows
from pipelines.files import numbers as written
from pipelines.files.readings import WORDS, Reading
from pipelines.files.table_file import LARGEST
from pipelines.steps import dates

# Calendar part -> training rows below which it is left out: 10 per value, but 100 per day of the
# month, which seldom matters and, on 2000 rows, cost 0.005 of r2 without this limit.
PARTS = {"month": 120, "weekday": 70, "day": 3100, "hour": 240}
_NAN = np.float64("nan")
_BLOCK_SIZE = 2**16  # training rows that are read at a time


def recorded(train: Rows) -> Part:
    """How the columns are read: names by kind, forms, words and numbers that mean missing.

    A column without a reading (`Rows.readings`) is a plain number, or a text.

    Raises:
        DataError: the target is the only column.
    """
    names = [name for name in train.fields if name != train.target]
    if not names:
        raise DataError("no column is left to learn from")
    readings = {name: (train.readings or {}).get(name) or _plain(train, name) for name in names}
    numbers, moments, texts, prose = (
        [name for name in names if readings[name].kind == kind]
        for kind in ("number", "date", "text", "words")
    )
    order = [*numbers, *moments, *texts, *prose]
    words = [(i, word) for i, name in enumerate(order) for word in readings[name].words]
    sentinels = [(i, value) for i, name in enumerate(order) for value in readings[name].sentinels]
    part = {
        "columns": np.array(order, str),
        "numbers": np.array(numbers, str),
        "written": np.array([readings[name].form for name in numbers], str),
        "dates": np.array(moments, str),
        "date_forms": np.array([readings[name].form for name in moments], str),
        "words": np.array([word for _, word in words], bytes),
        "word_of": np.array([i for i, _ in words], np.int64),
        "sentinels": np.array([value for _, value in sentinels], np.float64),
        "sentinel_of": np.array([i for i, _ in sentinels], np.int64),
    }
    if prose:
        part["prose"] = np.array(prose, str)  # columns of free text
    parts, clocks = _calendar(train, part)
    return {**part, "clocks": np.array(clocks, str), "texts": np.array([*texts, *parts], str)}


def current(part: Part) -> Part:
    """The part in the current format; one of the earlier format keeps `mean`, which marks it."""
    if "mean" not in part or "numbers" not in part:
        return part
    order = [str(name) for kind in ("numbers", "dates", "texts") for name in part[kind]]
    return {
        **part,
        "columns": np.array(order, str),
        "written": np.full(len(part["numbers"]), ""),
        "date_forms": np.full(len(part["dates"]), "year_first"),
        "clocks": np.array([], str),
        "words": np.array(WORDS * len(part["texts"]), bytes),
        "word_of": np.repeat(np.arange(len(order) - len(part["texts"]), len(order)), len(WORDS)),
        "sentinels": np.array([], np.float64),
        "sentinel_of": np.array([], np.int64),
        "centre": np.asarray(part["mean"], np.float64),
        "scale": np.asarray(part["scale"], np.float64),
    }


def check_names(part: Part, raw: Mapping[str, tf.Tensor]) -> None:
    """DataError: the part was fitted on other columns."""
    differing = sorted(set(raw) ^ {str(name) for name in part["columns"]})
    if differing:
        raise DataError(f"the fitted statistics have other columns: {', '.join(differing)} differ")


class Read(NamedTuple):
    """Raw columns (B,) as numbers and texts."""

    numbers: tf.Tensor  # (B, n) float64 in the order numbers, dates, clocks; NaN: missing
    texts: list[tf.Tensor]  # (B,) each, in the order of `texts`, stripped; b"": missing
    unreadable: Mapping[str, tf.Tensor]  # number or date -> which texts cannot be read: (B,) bool


class _Dated(NamedTuple):
    """A column of dates (B,)."""

    moments: dates.Moments
    calendar: Mapping[str, tf.Tensor]  # calendar part -> texts (B,)
    unreadable: tf.Tensor  # which texts are not dates


def read(part: Part, raw: Mapping[str, tf.Tensor]) -> Read:
    """Numbers, dates as seconds since 2000, and hours of the day; texts and calendar parts."""
    dated = {
        str(name): _once(functools.partial(_dated, part, i), raw[str(name)])
        for i, name in enumerate(part["dates"])
    }
    unreadable = {name: column.unreadable for name, column in dated.items()}
    columns = _numbers(part, raw, dated, unreadable)
    if columns:
        numbers = tf.stack(columns, axis=1)
    else:
        numbers = tf.zeros((tf.shape(next(iter(raw.values())))[0], 0), tf.float64)
    return Read(numbers, _texts(part, raw, dated), unreadable)


def prose(part: Part, raw: Mapping[str, tf.Tensor]) -> list[tf.Tensor]:
    """The texts (B,) of each column of free text, stripped; b"": missing."""
    order = [str(name) for name in part["columns"]]
    names = [str(name) for name in part.get("prose", ())]
    return [_text(part, order.index(name), raw[name]) for name in names]


def of_rows(part: Part, train: Rows) -> tuple[np.ndarray, list[np.ndarray]]:
    """`read` of the cells of training rows: numbers (n, N), and texts (N,) of each column.

    Rows are read in blocks, and equal texts are one object: that takes a third of the memory.
    """
    names, known = [str(name) for name in part["columns"]], {}
    numbers, texts = None, []
    for first in range(0, max(1, train.num_rows), _BLOCK_SIZE):
        rows = slice(first, first + _BLOCK_SIZE)
        block = read(part, {name: tf.constant(train.table[name][rows]) for name in names})
        if numbers is None:
            numbers = np.empty((block.numbers.shape[1], train.num_rows))
            texts = [np.empty(train.num_rows, object) for _ in block.texts]
        numbers[:, rows] = block.numbers.numpy().T
        for column, text in zip(texts, block.texts, strict=True):
            distinct, position = (tensor.numpy() for tensor in tf.unique(text))
            shared = np.empty(len(distinct), object)
            shared[:] = [known.setdefault(value, value) for value in distinct.tolist()]
            column[rows] = shared[position]
    return numbers, texts


def _once(function: Callable, text: tf.Tensor):
    """`function(text)`; in eager mode, which reads whole columns, once for each distinct text."""
    if not tf.executing_eagerly():
        return function(text)
    distinct, position = tf.unique(text)
    return tf.nest.map_structure(lambda values: tf.gather(values, position), function(distinct))


def _numbers(
    part: Part,
    raw: Mapping[str, tf.Tensor],
    dated: Mapping[str, _Dated],
    unreadable: dict[str, tf.Tensor],
) -> list[tf.Tensor]:
    columns = []
    for i, name in enumerate(map(str, part["numbers"])):
        value = raw[name]
        if value.dtype == tf.string:
            value, unreadable[name] = _once(functools.partial(_number, part, i), value)
        columns.append(_without(value, _of(part, "sentinels", i)))
    in_days = "mean" in part  # the earlier format has whole days
    for moment in (column.moments for column in dated.values()):
        columns.append(tf.floor(moment.local / 86_400.0) if in_days else moment.instant)
    return columns + [dates.time_of_day(dated[str(name)].moments) for name in part["clocks"]]


def _texts(
    part: Part, raw: Mapping[str, tf.Tensor], dated: Mapping[str, _Dated]
) -> list[tf.Tensor]:
    order = [str(name) for name in part["columns"]]
    texts = []
    for name in map(str, part["texts"]):
        column, _, of_calendar = name.rpartition(" ")
        if column:
            texts.append(dated[column].calendar[of_calendar])
        else:
            texts.append(_once(functools.partial(_text, part, order.index(name)), raw[name]))
    return texts


def _text(part: Part, column: int, text: tf.Tensor) -> tf.Tensor:
    return tf.where(_absent(part, column, text), "", tf.strings.strip(text))


def _number(part: Part, i: int, text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The numbers in texts (B,) of the i-th column, and which texts are not numbers."""
    absent, value = _absent(part, i, text), _read(text, str(part["written"][i]))
    return tf.where(absent, _NAN, value), tf.math.is_nan(value) & ~absent


def _dated(part: Part, i: int, text: tf.Tensor) -> _Dated:
    """The moments of texts (B,) of the i-th column of dates."""
    column = len(part["numbers"]) + i
    moment, absent = dates.moments(text, str(part["date_forms"][i])), _absent(part, column, text)
    instant = _without(moment.instant, _of(part, "sentinels", column))
    missing = tf.math.is_nan(instant) | absent
    known = moment._replace(
        instant=tf.where(missing, _NAN, instant), local=tf.where(missing, _NAN, moment.local)
    )
    return _Dated(known, dates.calendar(known), tf.math.is_nan(moment.instant) & ~absent)


def _read(text: tf.Tensor, form: str) -> tf.Tensor:
    """Numbers (B,) float64 from texts in a form of files/numbers.py; NaN for other texts."""
    form = form or "point"
    decimal, _, unit = form.partition(" ")
    text = tf.strings.strip(text)
    known = tf.strings.regex_full_match(text, written.pattern(form))
    plain = tf.strings.regex_replace(text, re.escape(unit), "") if unit else text
    thousands = "," if decimal == "point" else r"\."
    plain = tf.strings.regex_replace(plain, f"{thousands}|{written.SPACES}|[()]", "")
    plain = tf.strings.regex_replace(tf.strings.regex_replace(plain, ",", "."), "\u2212", "-")
    number = tf.strings.to_number(tf.where(known, plain, "0"), tf.float64)
    number = tf.where(tf.strings.regex_full_match(text, r"\(.*"), -number, number)
    return tf.where(known, number, _NAN)


def _without(value: tf.Tensor, sentinels: np.ndarray) -> tf.Tensor:
    """The numbers (B,) in float64, NaN where one is beyond LARGEST or means missing."""
    missing = tf.abs(value) > LARGEST  # not ~(abs <= LARGEST), which the graph optimizer rewrites
    for sentinel in sentinels:
        missing |= value == tf.constant(sentinel, value.dtype)
    return tf.where(missing, _NAN, tf.cast(value, tf.float64))


def _absent(part: Part, column: int, text: tf.Tensor) -> tf.Tensor:
    """Which texts (B,) of a column are words that mean missing."""
    words = tf.constant([b"", *_of(part, "words", column).tolist()])
    return tf.reduce_any(tf.strings.lower(tf.strings.strip(text))[:, None] == words, axis=1)


def _of(part: Part, name: str, column: int) -> np.ndarray:
    """The words or sentinels of one column."""
    owner = {"words": "word_of", "sentinels": "sentinel_of"}[name]
    return np.asarray(part[name])[np.asarray(part[owner]) == column]


def _plain(train: Rows, name: str) -> Reading:
    return Reading("text" if train.fields[name].dtype == "string" else "number", words=WORDS)


def _calendar(train: Rows, part: Part) -> tuple[list[str], list[str]]:
    """The calendar parts that vary in training ("sold month"), and the dates with times of day."""
    parts, clocks = [], []
    for i, (name, form) in enumerate(zip(map(str, part["dates"]), part["date_forms"], strict=True)):
        counts = Counter(train.table[name].tolist())
        moment, of_calendar, _ = _dated(part, i, tf.constant([*counts], tf.string))
        known = np.isfinite(moment.local.numpy())
        hours = dates.time_of_day(moment).numpy()[known]
        with_time = bool((hours != 0).any())
        num_known = np.array([*counts.values()], np.int64)[known].sum()
        for calendar_part, fewest in PARTS.items():
            needed = with_time if calendar_part == "hour" else str(form) != "clock"
            seen = np.unique(of_calendar[calendar_part].numpy()[known].astype(bytes))
            if needed and len(seen) > 1 and num_known >= fewest:
                parts.append(f"{name} {calendar_part}")
        whole_hours = f"{name} hour" in parts and not (hours % 1 != 0).any()
        if with_time and str(form) != "clock" and not whole_hours:
            clocks.append(name)
    return parts, clocks
