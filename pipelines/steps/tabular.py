"""Steps for tables: named columns in, one vector of standardised numbers out."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import tensorflow as tf
from sklearn.model_selection import train_test_split

from pipelines import DataError, Rows, State
from pipelines.core.splits import take
from pipelines.files.columns import DATE
from pipelines.files.table_file import LARGEST, MISSING
from zoo.spec import Field

_FAR = 10.0  # deviations from the mean that a number counts as at most
_MOST_CATEGORIES = 100  # of a column; rarer ones are "other"


def stratified(rows: Rows, *, seed: int, validation: float, test: float) -> dict[str, Rows]:
    """One split cut into train, validation and test with the same share of each class."""
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


def fit_statistics(train: Rows) -> State:
    """Mean and standard deviation of every column, in the order of the columns' names."""
    columns = {k: v.astype(np.float64) for k, v in train.table.items() if k != train.target}
    deviation = np.array([column.std() for column in columns.values()])
    return {
        "columns": np.array(list(columns)),
        "mean": np.array([column.mean() for column in columns.values()], np.float32),
        # A column that never varies says nothing: it becomes zeros, not infinities.
        "deviation": np.where(deviation > 0, deviation, 1.0).astype(np.float32),
    }


def standardise(state: State):
    """`preprocess` from the statistics: columns (B,) each to `features` (B, columns)."""
    names = [str(name) for name in state["columns"]]
    mean, scale = np.asarray(state["mean"]), 1.0 / np.asarray(state["deviation"])

    def preprocess(raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        features = tf.stack([tf.cast(raw[name], tf.float32) for name in names], axis=1)
        return {"features": (features - mean) * scale}  # (B, columns)

    return preprocess


def fitting(told: Sequence[str], *, dates: Collection[str] = ()):
    """`prepare` of a table whose splits are there: fits `encode`'s state on the training rows.

    Args:
        told: lines on what was found in the data, printed where it is fitted, once in a run.
        dates: names of the columns of ISO dates.
    """

    def prepare(rows: Mapping[str, Rows], state: State | None) -> tuple[Mapping[str, Rows], State]:
        train = rows["train"]
        if state is None:
            print("\n".join(told))
            state = fit_columns(train, dates=dates)
        known = {str(name) for kind in ("numbers", "dates", "texts") for name in state[kind]}
        odd = known ^ (set(train.fields) - {train.target})
        if odd:
            raise DataError(f"the statistics are those of other columns: {', '.join(sorted(odd))}")
        if train.fields[train.target] == Field((), "float32"):
            target = train.table[train.target].astype(np.float64)
            state = {"target_mean": target.mean(), "target_deviation": target.std() or 1.0, **state}
        return rows, state

    return prepare


def fit_columns(train: Rows, *, dates: Collection[str] = ()) -> State:
    """What `encode` has to know of the training rows.

    Columns of float32 are numbers, NaN where missing; columns of strings are dates or categories,
    b"" where missing.

    Args:
        dates: names of the columns of ISO dates.
    """
    names = [name for name in train.fields if name != train.target]
    words = [name for name in names if train.fields[name].dtype == "string" and name not in dates]
    numbers = [name for name in names if train.fields[name].dtype != "string"]
    dates = [name for name in names if name in dates]
    columns = [train.table[name] for name in numbers]
    columns += [days(tf.constant(train.table[name])).numpy() for name in dates]
    if not columns and not words:
        raise DataError("no column is left to learn from")
    fitted = np.array([_mean_scale_flag(column) for column in columns]).reshape(-1, 3)
    categories = [_categories(train.table[name]) for name in words]
    return {
        "numbers": np.array(numbers, str),
        "dates": np.array(dates, str),
        "texts": np.array(words, str),
        "mean": fitted[:, 0].astype(np.float32),
        "scale": fitted[:, 1].astype(np.float32),
        "flagged": np.flatnonzero(fitted[:, 2]),  # columns that have an indicator of missing cells
        "categories": np.array([word for known, _, _ in categories for word in known], bytes),
        "category_of": np.repeat(np.arange(len(words)), [len(known) for known, _, _ in categories]),
        "other": np.array([other for _, other, _ in categories], bool),
        "absent": np.array([absent for _, _, absent in categories], bool),
    }


def encode(state: State):
    """`preprocess` from what `fit_columns` found: columns (B,) each to `features`.

    Numbers and days are standardised, 0 where missing, within 10 deviations; categories are one-hot
    over those known, then "other" and "missing" where training had such rows. What was never seen
    in training becomes zeros, so that no untrained weight has a say.
    """
    names = {kind: [str(n) for n in state[kind]] for kind in ("numbers", "dates", "texts")}
    mean, scale, flagged = (np.asarray(state[key]) for key in ("mean", "scale", "flagged"))
    known = [
        np.asarray(state["categories"])[state["category_of"] == i].tolist()
        for i in range(len(names["texts"]))
    ]

    def preprocess(raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        features = []
        if len(mean):
            columns = [raw[name] for name in names["numbers"]]
            columns += [days(raw[name]) for name in names["dates"]]
            values = tf.stack(columns, axis=1)  # (B, columns)
            # Not ~(abs <= LARGEST): TensorFlow's graph optimizer makes that abs > LARGEST, which
            # is false for NaN.
            missing = tf.math.is_nan(values) | (tf.abs(values) > LARGEST)
            standard = tf.where(missing, 0.0, (values - mean) * scale)
            features.append(tf.clip_by_value(standard, -_FAR, _FAR))
            features.append(tf.gather(tf.cast(missing, tf.float32), flagged, axis=1))
        for i, name in enumerate(names["texts"]):
            text = tf.strings.strip(raw[name])[:, None]  # (B, 1)
            absent = tf.reduce_any(tf.strings.lower(text) == MISSING, axis=1, keepdims=True)
            one_hot = text == tf.constant(known[i], tf.string, (len(known[i]),))  # (B, categories)
            slots = [one_hot]
            if state["other"][i]:
                slots.append(~(absent | tf.reduce_any(one_hot, axis=1, keepdims=True)))
            if state["absent"][i]:
                slots.append(absent)
            features += [tf.cast(slot, tf.float32) for slot in slots]
        return {"features": tf.concat(features, axis=1)}  # (B, width)

    return preprocess


def days(text: tf.Tensor) -> tf.Tensor:
    """Days since 2000-01-01 of ISO dates (B,), without the time of day; NaN where there is none."""
    text = tf.strings.strip(text)
    known = tf.strings.regex_full_match(text, DATE)
    safe = tf.where(known, text, "2000-01-01")
    year, month, day = (
        tf.strings.to_number(tf.strings.substr(safe, first, length), tf.int32)
        for first, length in ((0, 4), (5, 2), (8, 2))
    )
    # Years that begin in March: howardhinnant.github.io/date_algorithms.html, days_from_civil.
    year -= tf.cast(month <= 2, tf.int32)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    number = 365 * year + year // 4 - year // 100 + year // 400 + of_year - 730_425
    return tf.where(known, tf.cast(number, tf.float32), np.nan)


def _mean_scale_flag(column: np.ndarray) -> tuple[float, float, bool]:
    """Mean, one over the deviation, and whether some are missing."""
    present = column[np.abs(column) <= LARGEST].astype(np.float64)
    if not len(present) or present.min() == present.max():
        # A column that never varies says nothing: zeros, also where it varies later.
        return 0.0, 0.0, len(present) < len(column)
    return present.mean(), 1.0 / present.std(), len(present) < len(column)


def _categories(column: np.ndarray) -> tuple[list[bytes], bool, bool]:
    """The most frequent texts that occur twice, whether there are others, and missing ones."""
    counts = Counter(column.tolist())
    absent = counts.pop(b"", 0) > 0
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[:_MOST_CATEGORIES]
    known = sorted(word for word in frequent if counts[word] > 1)
    return known, len(known) < len(counts), absent
