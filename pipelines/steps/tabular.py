"""Input forms of tables: named columns to the numbers that a model takes.

`vector` is one vector: standardised numbers, indicators of missing cells, one-hot categories.
`columns` keeps them apart: numbers, their ranks, indicators of missing cells, category ids.
"""

import functools
from collections import Counter
from collections.abc import Collection, Mapping

import numpy as np
import tensorflow as tf
from sklearn.model_selection import train_test_split

from pipelines.core.pipeline import DataError, Form, Part, Rows
from pipelines.core.splits import take
from pipelines.files.columns import DATE
from pipelines.files.table_file import LARGEST, MISSING
from zoo.spec import Field

_FAR = 10.0  # standard deviations from the mean, at which numbers are clipped
_MOST_CATEGORIES = 100  # per column; rarer ones are "other"
_QUANTILES = 257  # per column of training cells; ranks are interpolated between them


def forms(as_text: Collection[str] = ()) -> dict[str, Form]:
    """`vector` and `columns`, for columns of float32 (NaN: missing) and strings (b"": missing).

    Args:
        as_text: columns that are categories, even if they look like dates.
    """
    fit = functools.partial(fit_columns, as_text=as_text)
    return {"vector": Form(fit=fit, make_preprocess=encode), "columns": columns_form(as_text)}


def columns_form(as_text: Collection[str] = ()) -> Form:
    """`numbers`, `ranks`, `missing` (B, n) float32 and `categories` (B, k) int32 with their ids."""
    fit = functools.partial(_fit_ranks, as_text=as_text)
    return Form(fit=fit, make_preprocess=_separate, fields=_category_fields)


def stratified(rows: Rows, *, seed: int, validation: float, test: float) -> dict[str, Rows]:
    """One split cut into train, validation and test with the same fractions of each class."""
    target = rows.table[rows.target]
    everything = np.arange(rows.num_rows)
    rest, test_rows = train_test_split(
        everything, test_size=test, stratify=target, random_state=seed
    )
    train_rows, validation_rows = train_test_split(
        rest, test_size=validation / (1 - test), stratify=target[rest], random_state=seed
    )
    parts = {"train": train_rows, "validation": validation_rows, "test": test_rows}
    return {name: take(rows, np.sort(part)) for name, part in parts.items()}


def fit_statistics(train: Rows) -> Part:
    """Mean and standard deviation of every column, in the order of the columns' names."""
    columns = {k: v.astype(np.float64) for k, v in train.table.items() if k != train.target}
    std = np.array([column.std() for column in columns.values()])
    return {
        "columns": np.array(list(columns)),
        "mean": np.array([column.mean() for column in columns.values()], np.float32),
        # A constant column becomes zeros, not infinities.
        "std": np.where(std > 0, std, 1.0).astype(np.float32),
    }


def standardize(part: Part):
    """`preprocess` from the statistics: columns (B,) each to `features` (B, columns)."""
    names = [str(name) for name in part["columns"]]
    mean, scale = np.asarray(part["mean"]), 1.0 / np.asarray(part["std"])

    def preprocess(raw: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        _check_names(raw, names)
        features = tf.stack([tf.cast(raw[name], tf.float32) for name in names], axis=1)
        return {"features": (features - mean) * scale}  # (B, columns)

    return preprocess


def fit_columns(train: Rows, *, as_text: Collection[str] = ()) -> Part:
    """The part of the state that `encode` needs.

    A column of strings is one of dates if all cells that are not missing are ISO dates.

    Args:
        as_text: columns that are categories, even if they look like dates.

    Raises:
        DataError: the target is the only column.
    """
    names = [name for name in train.fields if name != train.target]
    if not names:
        raise DataError("no column is left to learn from")
    kinds = {name: "text" if name in as_text else _kind(train, name) for name in names}
    numbers, dates, texts = (
        [name for name in names if kinds[name] == kind] for kind in ("number", "date", "text")
    )
    columns = [train.table[name] for name in numbers]
    columns += [days(tf.constant(train.table[name])).numpy() for name in dates]
    fitted = np.array([_mean_scale_flag(column) for column in columns]).reshape(-1, 3)
    categories = [_categories(train.table[name]) for name in texts]
    return {
        "numbers": np.array(numbers, str),
        "dates": np.array(dates, str),
        "texts": np.array(texts, str),
        "mean": fitted[:, 0].astype(np.float32),
        "scale": fitted[:, 1].astype(np.float32),
        "flagged": np.flatnonzero(fitted[:, 2]),  # columns with an indicator of missing cells
        "categories": np.array([c for known, _, _ in categories for c in known], bytes),
        "category_of": np.repeat(np.arange(len(texts)), [len(known) for known, _, _ in categories]),
        "other": np.array([other for _, other, _ in categories], bool),
        "absent": np.array([absent for _, _, absent in categories], bool),
    }


def encode(part: Part):
    """`preprocess` from the result of `fit_columns`: columns (B,) each to `features`.

    Numbers and days are standardised, clipped at 10 standard deviations, and 0 if missing.
    Categories are one-hot: the known ones, then "other" and "missing" if training had such rows.
    What training never had becomes zeros, so that untrained weights have no effect.
    """
    mean, scale, flagged = (np.asarray(part[key]) for key in ("mean", "scale", "flagged"))
    texts, known = [str(name) for name in part["texts"]], _known_categories(part)

    def preprocess(raw: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        _check_names(raw, _names(part))
        features = []
        if len(mean):
            values, missing = _numbers(part, raw)
            standard = tf.where(missing, 0.0, (values - mean) * scale)
            features.append(tf.clip_by_value(standard, -_FAR, _FAR))
            features.append(tf.gather(tf.cast(missing, tf.float32), flagged, axis=1))
        for i, name in enumerate(texts):
            one_hot, absent = _matches(raw[name], known[i])
            slots = [one_hot]
            if part["other"][i]:
                slots.append(~(absent | tf.reduce_any(one_hot, axis=1, keepdims=True)))
            if part["absent"][i]:
                slots.append(absent)
            features += [tf.cast(slot, tf.float32) for slot in slots]
        return {"features": tf.concat(features, axis=1)}  # (B, width)

    return preprocess


def days(text: tf.Tensor) -> tf.Tensor:
    """Days from 2000-01-01 to ISO dates (B,), without the time of day; NaN for other texts."""
    text = tf.strings.strip(text)
    known = tf.strings.regex_full_match(text, DATE)
    safe = tf.where(known, text, "2000-01-01")
    year, month, day = (
        tf.strings.to_number(tf.strings.substr(safe, first, length), tf.int32)
        for first, length in ((0, 4), (5, 2), (8, 2))
    )
    # Years from March on: howardhinnant.github.io/date_algorithms.html, days_from_civil.
    year -= tf.cast(month <= 2, tf.int32)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    number = 365 * year + year // 4 - year // 100 + year // 400 + of_year - 730_425
    return tf.where(known, tf.cast(number, tf.float32), np.nan)


def _fit_ranks(train: Rows, *, as_text: Collection[str] = ()) -> Part:
    part = fit_columns(train, as_text=as_text)
    columns = [train.table[str(name)] for name in part["numbers"]]
    columns += [days(tf.constant(train.table[str(name)])).numpy() for name in part["dates"]]
    edges = [_edges(column) for column in columns]
    return {**part, "quantiles": np.array(edges, np.float32).reshape(len(columns), _QUANTILES)}


def _separate(part: Part):
    """`preprocess` of the form `columns`; inputs without columns are left out."""
    mean, scale = np.asarray(part["mean"]), np.asarray(part["scale"])
    quantiles, texts = np.asarray(part["quantiles"]), [str(name) for name in part["texts"]]
    known = _known_categories(part)

    def preprocess(raw: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        _check_names(raw, _names(part))
        inputs = {}
        if len(mean):
            values, missing = _numbers(part, raw)
            standard = tf.where(missing, 0.0, (values - mean) * scale)
            inputs["numbers"] = tf.clip_by_value(standard, -_FAR, _FAR)
            inputs["ranks"] = tf.where(missing, 0.0, _ranks(values, quantiles))
            inputs["missing"] = tf.cast(missing, tf.float32)
        if texts:
            ids = []
            for i, name in enumerate(texts):
                one_hot, absent = _matches(raw[name], known[i])
                # 0: missing, 1: unknown, from 2 on: the known ones in order.
                first = tf.argmax(tf.concat([absent, ~absent, one_hot], axis=1)[:, ::-1], axis=1)
                ids.append(tf.cast(len(known[i]) + 1 - first, tf.int32))
            inputs["categories"] = tf.stack(ids, axis=1)  # (B, k)
        return inputs

    return preprocess


def _category_fields(part: Part) -> dict[str, Field]:
    sizes = tuple(len(known) + 2 for known in _known_categories(part))
    return {"categories": Field((len(sizes),), "int32", ids=sizes)} if sizes else {}


def _ranks(values: tf.Tensor, quantiles: np.ndarray) -> tf.Tensor:
    """Ranks (B, n) in [0, 1] of values among their columns' training quantiles (n, Q)."""
    columns = tf.transpose(values)  # (n, B)
    upper = tf.clip_by_value(tf.searchsorted(quantiles, columns, "right"), 1, _QUANTILES - 1)
    low = tf.gather(quantiles, upper - 1, batch_dims=1)
    high = tf.gather(quantiles, upper, batch_dims=1)
    # 1 at or above the last quantile, even if the last ones are equal.
    inside = tf.where(columns < high, tf.math.divide_no_nan(columns - low, high - low), 1.0)
    below = tf.cast(upper - 1, tf.float32) + tf.maximum(inside, 0.0)
    return tf.transpose(below * (1.0 / (_QUANTILES - 1)))


def _edges(column: np.ndarray) -> np.ndarray:
    present = column[np.abs(column) <= LARGEST]
    if not len(present):
        return np.zeros(_QUANTILES)
    return np.quantile(present.astype(np.float64), np.linspace(0, 1, _QUANTILES))


def _numbers(part: Part, raw: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Numbers and days (B, n), and which of them are missing."""
    columns = [raw[str(name)] for name in part["numbers"]]
    columns += [days(raw[str(name)]) for name in part["dates"]]
    values = tf.stack(columns, axis=1)
    # Not ~(abs <= LARGEST): TensorFlow's graph optimizer makes that abs > LARGEST, which is false
    # for NaN.
    return values, tf.math.is_nan(values) | (tf.abs(values) > LARGEST)


def _matches(text: tf.Tensor, known: list[bytes]) -> tuple[tf.Tensor, tf.Tensor]:
    """Which known category each text is (B, categories), and whether it is missing (B, 1)."""
    text = tf.strings.strip(text)[:, None]
    absent = tf.reduce_any(tf.strings.lower(text) == MISSING, axis=1, keepdims=True)
    return text == tf.constant(known, tf.string, (len(known),)), absent


def _known_categories(part: Part) -> list[list[bytes]]:
    categories = np.asarray(part["categories"])
    return [categories[part["category_of"] == i].tolist() for i in range(len(part["texts"]))]


def _names(part: Part) -> list[str]:
    return [str(name) for kind in ("numbers", "dates", "texts") for name in part[kind]]


def _check_names(raw: Mapping[str, tf.Tensor], names: list[str]) -> None:
    differing = sorted(set(raw) ^ set(names))
    if differing:
        raise DataError(f"the fitted statistics have other columns: {', '.join(differing)} differ")


def _kind(train: Rows, name: str) -> str:
    if train.fields[name].dtype != "string":
        return "number"
    present = [cell for cell in train.table[name].tolist() if cell]
    dates = tf.strings.regex_full_match(tf.constant(present, tf.string), DATE)
    return "date" if present and bool(tf.reduce_all(dates)) else "text"


def _mean_scale_flag(column: np.ndarray) -> tuple[float, float, bool]:
    """Mean, one over the standard deviation, and whether some are missing."""
    present = column[np.abs(column) <= LARGEST].astype(np.float64)
    if not len(present) or present.min() == present.max():
        # A constant column becomes zeros, even where it varies later.
        return 0.0, 0.0, len(present) < len(column)
    return present.mean(), 1.0 / present.std(), len(present) < len(column)


def _categories(column: np.ndarray) -> tuple[list[bytes], bool, bool]:
    """The most frequent texts that occur twice; whether other and missing ones occur."""
    counts = Counter(column.tolist())
    absent = counts.pop(b"", 0) > 0
    frequent = sorted(counts, key=lambda text: (-counts[text], text))[:_MOST_CATEGORIES]
    known = sorted(text for text in frequent if counts[text] > 1)
    return known, len(known) < len(counts), absent
