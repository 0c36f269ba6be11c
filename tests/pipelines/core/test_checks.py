"""What stored rows must be, by a fault in each."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines import DataError, Form, Pipeline, Rows, Schema, classes
from pipelines.core.checks import check_rows, check_splits, check_target
from pipelines.core.prepared import served
from zoo.spec import Field

RAW = {"x": Field((2,), "float32")}
CLASSES = classes(RAW, ("a", "b", "c"))
REGRESSION = Schema(RAW, "regression", Field((), "float32"))
FLAGS = Schema(RAW, "multi_label", Field((2,), "float32"), ("a", "b"), 2)


@pytest.mark.parametrize(
    ("schema", "target", "message"),
    [
        (CLASSES, [0, 3, 1], r"set test: label 3 of example 1 is not in 0\.\.2"),
        (CLASSES, [0, 1, -1], r"label -1 of example 2 is not in 0\.\.2"),
        (CLASSES, [0.5, 1.0], r"targets are float64 \(\), such as 0\.5; expected int64 \(\)"),
        (CLASSES, [[0, 1], [1, 2]], r"targets are int64 \(2,\); expected int64 \(\)"),
        (CLASSES, np.array([b"a"], object), "targets are string .*expected int64"),
        (REGRESSION, np.float32([1, np.nan]), "target nan of example 1 is not finite"),
        (FLAGS, np.float32([[0, 1], [1, np.inf]]), "target .* of example 1 is not finite"),
        (REGRESSION, np.array([b"1"], object), r"targets are string \(\), such as b'1'; expected"),
    ],
)
def test_check_target_names_the_first_wrong_one(schema, target, message):
    with pytest.raises(DataError, match=message):
        check_target(schema, "set test", np.asarray(target))


@pytest.mark.parametrize(
    ("schema", "target"),
    [
        (CLASSES, np.array([0, 2, 1])),
        (CLASSES, np.array([0, 2, 1], np.uint8)),  # a smaller type holds the same labels
        (REGRESSION, np.float32([1.5, -2])),
        (REGRESSION, np.float16([1.5, -2])),
        (FLAGS, np.float32([[0, 1]])),
        (CLASSES._replace(target=Field((), "string")), np.array([b"a"], object)),
    ],
)
def test_check_target_takes_what_was_declared(schema, target):
    check_target(schema, "set test", target)


def test_check_target_counts_rows_by_their_numbers_where_they_are_read():
    with pytest.raises(DataError, match="label 9 of example 702 is not"):
        check_target(CLASSES, "set test", np.array([0, 9]), np.array([30, 702]))


def rows_of(**columns) -> Rows:
    table = {"x": np.zeros((4, 2), np.float32), "label": np.zeros(4, np.int64)} | columns
    fields = {"x": RAW["x"], "label": Field((), "int64")}
    return Rows(4, fields, "label", table={k: v for k, v in table.items() if v is not None})


def declared(preprocess=lambda raw: {"x": raw["x"] * 2.0}, **changes):
    pipeline = Pipeline(
        name="own", source="own:1", forms={"x": Form(preprocess=preprocess)}, **changes
    )
    return served(pipeline, CLASSES, state={})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": None}, r"own:1 train has no \['x'\]; it has \['label'\]"),
        ({"label": None}, r"has no \['label'\]"),
        ({"label": np.zeros(3, np.int64)}, "label has 3 values for 4 examples"),
        ({"x": np.zeros((4, 3), np.float32)}, r"x is float32 \(3,\), own expects float32 \(2,\)"),
        ({"x": np.zeros((4, 2), np.int32)}, r"x is int32 \(2,\), own expects"),
    ],
)
def test_check_rows_refuses_other_columns_than_declared(columns, message):
    with pytest.raises(DataError, match=message):
        check_rows(declared(), {"train": rows_of(**columns)})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_check_rows_refuses_numbers_that_preprocess_leaves_as_they_are(value):
    x = np.zeros((4, 2), np.float32)
    x[2:, 1] = value
    message = r"own:1 test: x of example 2 is not finite, .* \(2 such examples\)"
    with pytest.raises(DataError, match=message):
        check_rows(declared(), {"train": rows_of(), "test": rows_of(x=x)})
    replaces = lambda raw: {"x": tf.where(tf.math.is_finite(raw["x"]), raw["x"], 0.0)}
    check_rows(declared(replaces), {"test": rows_of(x=x)})


def test_check_rows_leaves_alone_what_is_read_by_number_or_arranged():
    check_rows(declared(), {"train": Rows(4, {}, "label", read=lambda index: {})})
    check_rows(declared(), {"train": rows_of(x=None)._replace(are_inputs=True)})
    shrunk = declared(shrink=lambda raw: raw)
    check_rows(shrunk, {"train": rows_of(x=np.zeros((4, 9), np.float32))})


def test_check_splits_wants_all_three_with_examples():
    pipeline = declared().pipeline
    check_splits(pipeline, dict.fromkeys(("train", "validation", "test"), rows_of()))
    with pytest.raises(DataError, match="own has no validation, test; it has train"):
        check_splits(pipeline, {"train": rows_of()})
    empty = rows_of()._replace(num_rows=0)
    with pytest.raises(DataError, match="own: no examples in test"):
        check_splits(pipeline, {"train": rows_of(), "validation": rows_of(), "test": empty})
