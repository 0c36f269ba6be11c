"""The input form `vector` of tables: named columns to one vector per row.

It holds standardised numbers, indicators of missing cells and one-hot categories. The form
`columns`, which keeps them apart, is in columns.py.
"""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from sklearn.model_selection import train_test_split

from pipelines.core.pipeline import Part, Rows
from pipelines.core.splits import select
from pipelines.steps import cells, unseen

_FAR = 3.0  # robust deviations from the median: numbers approach this limit and never reach it
_EARLIER_FAR = 10.0  # standard deviations at which parts of the earlier format clip
MAX_CATEGORIES = 100  # per column; rarer ones are "other"


def stratified(rows: Rows, *, seed: int, validation: float, test: float) -> dict[str, Rows]:
    """One split cut into train, validation and test with the same fractions of each class."""
    target = rows.table[rows.target]
    index = np.arange(rows.num_rows)
    rest, test_rows = train_test_split(index, test_size=test, stratify=target, random_state=seed)
    train_rows, validation_rows = train_test_split(
        rest, test_size=validation / (1 - test), stratify=target[rest], random_state=seed
    )
    parts = {"train": train_rows, "validation": validation_rows, "test": test_rows}
    return {name: select(rows, np.sort(part)) for name, part in parts.items()}


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
        cells.check_names(part, raw)
        features = tf.stack([tf.cast(raw[name], tf.float32) for name in names], axis=1)
        return {"features": (features - mean) * scale}  # (B, columns)

    return preprocess


def fit_columns(train: Rows, *, most: int = MAX_CATEGORIES) -> Part:
    """The part of the state that `encode` needs: how cells are read, and the training statistics.

    Args:
        most: largest number of known categories of a column.

    Raises:
        DataError: the target is the only column.
    """
    part = cells.recorded(train)
    values, texts = cells.of_rows(part, train)
    fitted = np.array([robust(column) for column in values]).reshape(-1, 2)
    categories = [_categories(text, most) for text in texts]
    return {
        **part,
        "centre": fitted[:, 0],
        "scale": fitted[:, 1],
        # Columns with an indicator of missing cells.
        "flagged": np.flatnonzero(np.isnan(values).any(axis=1)),
        "categories": np.array([c for known, _, _ in categories for c in known], bytes),
        "category_of": np.repeat(
            np.arange(len(categories)), [len(known) for known, _, _ in categories]
        ),
        "other": np.array([other for _, other, _ in categories], bool),
        "absent": np.array([absent for _, _, absent in categories], bool),
        **unseen.recorded(texts, [known for known, _, _ in categories]),
    }


def encode(part: Part):
    """`preprocess` from the result of `fit_columns`: columns (B,) each to `features`.

    Numbers and dates are standardised in float64 and clipped smoothly, and 0 if missing.
    Categories are one-hot: the known ones, then "other" and "missing" if training had such rows.
    A value that did not occur in training, and is not surely another spelling of one that did,
    becomes zeros, so that untrained weights have no effect.
    """
    part = cells.current(part)
    flagged, known = np.asarray(part["flagged"]), known_categories(part)

    def preprocess(raw: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        cells.check_names(part, raw)
        features, (values, texts, _) = [], cells.read(part, raw)
        if len(part["scale"]):
            missing = tf.math.is_nan(values)
            features.append(standard(part, values, missing))
            features.append(tf.gather(tf.cast(missing, tf.float32), flagged, axis=1))
        for i, text in enumerate(unseen.as_in_training(part, texts)):
            one_hot, absent = matches(text, known[i])
            slots = [one_hot]
            if part["other"][i]:
                slots.append(~(absent | tf.reduce_any(one_hot, axis=1, keepdims=True)))
            if part["absent"][i]:
                slots.append(absent)
            features += [tf.cast(slot, tf.float32) for slot in slots]
        return {"features": tf.concat(features, axis=1)}  # (B, width)

    return preprocess


def standard(part: Part, values: tf.Tensor, missing: tf.Tensor) -> tf.Tensor:
    """Numbers (B, n) float64 centred, scaled and clipped as training recorded: (B, n) float32.

    x / sqrt(1 + (x / 3)^2) is x near 0 and within 3 everywhere (RealMLP, arXiv 2407.04491):
    outliers neither set the scale nor are cut off.
    """
    zero = tf.zeros_like(values)
    scaled = tf.where(missing, zero, (values - part["centre"]) * part["scale"])
    if "mean" in part:
        return tf.cast(tf.clip_by_value(scaled, -_EARLIER_FAR, _EARLIER_FAR), tf.float32)
    scaled = tf.clip_by_value(scaled, -1e100, 1e100)  # whose square float64 can hold
    return tf.cast(scaled / tf.sqrt(1.0 + tf.square(scaled / _FAR)), tf.float32)


def robust(column: np.ndarray) -> tuple[float, float]:
    """Median of the numbers (N,) that are not NaN, and 1 / their interquartile range.

    If half of them are equal, it is 1 / half the median distance of the others from the median, and
    0 if all are: a constant column becomes zeros, even if it varies later.
    """
    present = column[~np.isnan(column)].astype(np.float64)
    if not len(present) or present.min() == present.max():
        return 0.0, 0.0
    low, centre, high = np.quantile(present, [0.25, 0.5, 0.75])
    width = high - low
    if width == 0:
        width = np.median(np.abs(present[present != centre] - centre)) / 2
    return float(centre), float(1 / width) if width > 1e-300 else 0.0


def matches(text: tf.Tensor, known: list[bytes]) -> tuple[tf.Tensor, tf.Tensor]:
    """Which known category each text is (B, categories), and whether it is missing (B, 1)."""
    text = text[:, None]
    return text == tf.constant(known, tf.string, (len(known),)), text == b""


def known_categories(part: Part) -> list[list[bytes]]:
    """The known categories of each column of texts, sorted."""
    categories = np.asarray(part["categories"])
    return [categories[part["category_of"] == i].tolist() for i in range(len(part["texts"]))]


def _categories(column: np.ndarray, most: int) -> tuple[list[bytes], bool, bool]:
    """The most frequent texts that occur at least twice; whether others and missing ones occur."""
    counts = Counter(column.tolist())
    absent = counts.pop(b"", 0) > 0
    frequent = sorted(counts, key=lambda text: (-counts[text], text))[:most]
    known = sorted(text for text in frequent if counts[text] > 1)
    return known, len(known) < len(counts), absent
