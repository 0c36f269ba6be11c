"""Raw columns, as a client sends them, to numbers in float64 and texts: by what training recorded.

A part of the state says how the cells of each column are read (`recorded`). Dates become seconds,
and texts of the calendar's parts, which are categories from there on.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pipelines.core.pipeline import DataError, Part, Rows
from pipelines.files import numbers as written
from pipelines.files.readings import WORDS, Reading
from pipelines.files.table_file import LARGEST
from pipelines.steps import dates

# Parts of the calendar -> training rows below which they are left out: 10 for each value, and 100
# for each day of the month, which seldom matters and cost 0.005 of r2 on 2000 rows without it.
PARTS = {"month": 120, "weekday": 70, "day": 3100, "hour": 240}
_NAN = np.float64("nan")


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
    numbers, moments, texts = (
        [name for name in names if readings[name].kind == kind]
        for kind in ("number", "date", "text")
    )
    order = [*numbers, *moments, *texts]
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
    parts, clocks = _calendar(train, part)
    return {**part, "clocks": np.array(clocks, str), "texts": np.array([*texts, *parts], str)}


def current(part: Part) -> Part:
    """The part in today's format; one of the earlier format keeps its `mean`, and what it means."""
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


def read(part: Part, raw: Mapping[str, tf.Tensor]) -> Read:
    """Numbers, seconds since 2000 of dates and hours of the day; texts and the calendar's parts."""
    moments = _moments(part, raw)
    columns = _numbers(part, raw, moments)
    if columns:
        numbers = tf.stack(columns, axis=1)
    else:
        numbers = tf.zeros((tf.shape(next(iter(raw.values())))[0], 0), tf.float64)
    return Read(numbers, _texts(part, raw, moments))


def _numbers(
    part: Part, raw: Mapping[str, tf.Tensor], moments: Mapping[str, dates.Moments]
) -> list[tf.Tensor]:
    columns = []
    for i, (name, form) in enumerate(zip(part["numbers"], part["written"], strict=True)):
        value = raw[str(name)]
        if value.dtype == tf.string:
            value = tf.where(_absent(part, i, value), _NAN, _read(value, str(form)))
        columns.append(_without(value, _of(part, "sentinels", i)))
    in_days = "mean" in part  # whole ones, in the earlier format
    for moment in moments.values():
        columns.append(tf.floor(moment.local / 86_400.0) if in_days else moment.instant)
    return columns + [dates.time_of_day(moments[str(name)]) for name in part["clocks"]]


def _texts(
    part: Part, raw: Mapping[str, tf.Tensor], moments: Mapping[str, dates.Moments]
) -> list[tf.Tensor]:
    order = [str(name) for name in part["columns"]]
    calendars = {name: dates.calendar(moment) for name, moment in moments.items()}
    found = []
    for name in map(str, part["texts"]):
        column, _, of_calendar = name.rpartition(" ")
        if column:
            found.append(calendars[column][of_calendar])
            continue
        missing = _absent(part, order.index(name), raw[name])
        found.append(tf.where(missing, "", tf.strings.strip(raw[name])))
    return found


def _moments(part: Part, raw: Mapping[str, tf.Tensor]) -> dict[str, dates.Moments]:
    first, found = len(part["numbers"]), {}
    for i, (name, form) in enumerate(zip(part["dates"], part["date_forms"], strict=True)):
        moment = dates.moments(raw[str(name)], str(form))
        instant = _without(moment.instant, _of(part, "sentinels", first + i))
        missing = tf.math.is_nan(instant) | _absent(part, first + i, raw[str(name)])
        found[str(name)] = moment._replace(
            instant=tf.where(missing, _NAN, instant), local=tf.where(missing, _NAN, moment.local)
        )
    return found


def _read(text: tf.Tensor, form: str) -> tf.Tensor:
    """Numbers (B,) float64 that are written in a form of files/numbers.py; NaN for other texts."""
    form = form or "point"
    decimal, _, unit = form.partition(" ")
    text = tf.strings.strip(text)
    known = tf.strings.regex_full_match(text, written.pattern(form))
    plain = tf.strings.regex_replace(text, re.escape(unit), "") if unit else text
    thousands = "," if decimal == "point" else r"\."
    plain = tf.strings.regex_replace(plain, f"{thousands}|{written.SPACES}|[()]", "")
    plain = tf.strings.regex_replace(plain, ",", ".")
    number = tf.strings.to_number(tf.where(known, plain, "0"), tf.float64)
    number = tf.where(tf.strings.regex_full_match(text, r"\(.*"), -number, number)
    return tf.where(known, number, _NAN)


def _without(value: tf.Tensor, sentinels: np.ndarray) -> tf.Tensor:
    """The numbers (B,) in float64, NaN where one is beyond LARGEST or stands for a missing one."""
    missing = tf.abs(value) > LARGEST  # not ~(abs <= LARGEST), which the graph optimizer turns
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
    """The parts of dates that vary in training, "sold month", and dates with times of day."""
    parts, clocks = [], []
    raw = {str(name): tf.constant(train.table[str(name)]) for name in part["dates"]}
    for (name, moment), form in zip(_moments(part, raw).items(), part["date_forms"], strict=True):
        known = np.isfinite(moment.local.numpy())
        hours = dates.time_of_day(moment).numpy()[known]
        with_time = bool((hours != 0).any())
        of_calendar = dates.calendar(moment)
        for of, fewest in PARTS.items():
            needed = with_time if of == "hour" else str(form) != "clock"
            seen = np.unique(of_calendar[of].numpy()[known].astype(bytes))
            if needed and len(seen) > 1 and known.sum() >= fewest:
                parts.append(f"{name} {of}")
        whole_hours = f"{name} hour" in parts and not (hours % 1 != 0).any()
        if with_time and str(form) != "clock" and not whole_hours:
            clocks.append(name)
    return parts, clocks
