"""Steps for tables: named columns in, one vector of standardised numbers out."""

import numpy as np
import tensorflow as tf
from sklearn.model_selection import train_test_split

from pipelines import Rows, State
from pipelines.split import take


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
