"""A data set of number words, b"5 6 7", that become two padded inputs of different lengths."""

import numpy as np
import tensorflow as tf

from pipelines import Form, Pipeline, Rows, Schema
from pipelines.core.prepared import Prepared, prepare
from zoo.spec import Field

LENGTHS = {"short": 6, "long": 20}
FIELDS = {"text": Field((), "string"), "label": Field((), "int64")}


def texts(num_rows: int) -> np.ndarray:
    """Row i has 1 to 20 numbers, and as many as no neighbour has."""
    counts = 1 + np.arange(num_rows) * 7 % 20
    return np.array(
        [b" ".join(b"%d" % (i + j + 1) for j in range(n)) for i, n in enumerate(counts)]
    )


def dense(num_rows: int) -> dict[str, np.ndarray]:
    """The inputs of all rows by hand, as one table with all of its zeros."""
    table = {name: np.zeros((num_rows, size), np.int32) for name, size in LENGTHS.items()}
    for i, text in enumerate(texts(num_rows).tolist()):
        numbers = [int(word) for word in text.split()]
        for name, size in LENGTHS.items():
            table[name][i, : min(size, len(numbers))] = numbers[:size]
    return table


def rows_of(num_rows: int, *, stored: bool = False, identity: str = "", cache: str = "") -> Rows:
    """`stored`: read by number, as from disk; not held in memory."""
    table = {"text": texts(num_rows).astype(object), "label": np.arange(num_rows)}
    if not stored:
        return Rows(num_rows, FIELDS, "label", table=table)
    read = lambda index: {name: column[index] for name, column in table.items()}
    return Rows(num_rows, FIELDS, "label", read=read, identity=identity, cache=cache)


def _preprocess(raw):
    numbers = tf.strings.to_number(tf.strings.split(raw["text"]), tf.int32)
    return {name: numbers.to_tensor(shape=(None, size)) for name, size in LENGTHS.items()}


def pipeline_of(**changes) -> Pipeline:
    """The declaration; `changes` are more of its fields."""
    form = Form(
        preprocess=_preprocess,
        fields=lambda part: {
            name: Field((size,), "int32", ids=1000, length=size) for name, size in LENGTHS.items()
        },
    )
    return Pipeline(name="sequences", source="made:1.0.0", forms={"numbers": form}, **changes)


SCHEMA = Schema({"text": FIELDS["text"]}, "regression", FIELDS["label"])


def prepared_of(num_rows: int = 41, state=None, **rows_options) -> Prepared:
    """Prepared rows, of which each split has as many."""
    rows = {split: rows_of(num_rows, **rows_options) for split in ("train", "validation", "test")}
    return prepare(pipeline_of(), SCHEMA, rows, state=state)
