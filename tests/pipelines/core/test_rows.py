"""Rows in their three forms, and the inputs that they become."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines import Form, Pipeline, Rows, Schema
from pipelines.core import rows as rows_module
from pipelines.core.prepared import prepare
from pipelines.core.rows import chunks, encoded, reader, rename_clashing_target, take, targets
from tests.conftest import fake_pipeline
from tests.pipelines import sequences
from zoo.spec import Field

TABLE = {"x": np.arange(10, dtype=np.float32) / 4, "label": np.arange(10) * 3}
FIELDS = {"x": Field((), "float32"), "label": Field((), "int64")}


def in_form(form: str) -> Rows:
    """Ten rows as a table, as a reader by row number or as a function in graph operations."""
    if form == "table":
        return Rows(10, FIELDS, "label", table=TABLE)
    if form == "read":
        read = lambda index: {name: column[index] for name, column in TABLE.items()}
        return Rows(10, FIELDS, "label", read=read)
    gather = lambda index: {name: tf.gather(column, index) for name, column in TABLE.items()}
    return Rows(10, FIELDS, "label", take=gather)


forms = pytest.mark.parametrize("form", ["table", "read", "take"])


@forms
def test_take_returns_the_columns_of_those_rows(form):
    taken = take(in_form(form), np.array([7, 0, 7]))
    assert set(taken) == {"x", "label"}
    np.testing.assert_array_equal(taken["label"], [21, 0, 21])
    np.testing.assert_array_equal(taken["x"], [1.75, 0, 1.75])


@forms
def test_chunks_are_all_rows_in_order(form, monkeypatch):
    monkeypatch.setattr(rows_module, "CHUNK", 4)
    parts = list(chunks(in_form(form)))
    assert [len(part["x"]) for part in parts] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([p["x"] for p in parts]), TABLE["x"])
    np.testing.assert_array_equal(targets(in_form(form)), TABLE["label"])


@forms
def test_rename_clashing_target_renames_one_called_as_an_input(form):
    rows = in_form(form)
    assert rename_clashing_target(rows, ["x", "y"]) is rows
    renamed = rename_clashing_target(rows, ["label"])
    assert renamed.target not in ("x", "label")
    assert set(renamed.fields) == {"x", renamed.target}
    np.testing.assert_array_equal(take(renamed, np.array([3]))[renamed.target], [9])


@forms
def test_encoded_rows_have_encoded_targets(form):
    rows = encoded(in_form(form), lambda y: tf.one_hot(y // 3, 10))
    assert rows.fields["label"] == Field((10,), "float32")
    assert rows.fields["x"] == FIELDS["x"]
    np.testing.assert_array_equal(targets(rows), np.eye(10))
    columns, y = reader(rows)(tf.constant([2, 9], tf.int64))
    np.testing.assert_array_equal(y, np.eye(10)[[2, 9]])
    np.testing.assert_array_equal(columns["x"], [0.5, 2.25])


@forms
def test_reader_returns_columns_and_target_in_a_graph(form):
    read = tf.function(reader(in_form(form)), autograph=False)
    columns, target = read(tf.constant([3, 1], tf.int64))
    assert set(columns) == {"x"}
    np.testing.assert_array_equal(columns["x"], [0.75, 0.25])
    np.testing.assert_array_equal(target, [9, 3])
    assert (columns["x"].dtype, target.dtype) == (tf.float32, tf.int64)


def test_reader_of_rows_without_a_target_returns_none():
    rows = Rows(10, {"x": FIELDS["x"]}, None, table={"x": TABLE["x"]})
    columns, target = reader(rows)(tf.constant([3], tf.int64))
    assert target is None
    np.testing.assert_array_equal(columns["x"], [0.75])


@pytest.mark.parametrize(
    ("name", "once"), [("cifar10", False), ("imdb", True), ("csv", True), ("breast_cancer", True)]
)
def test_ready_makes_inputs_of_texts_and_tables_once_and_of_pixels_in_every_batch(name, once):
    prepared = fake_pipeline(name)
    rows = prepared.inputs_of("train")
    assert rows.are_inputs == once
    assert rows.num_rows == prepared.rows["train"].num_rows
    if not once:
        assert rows is prepared.rows["train"]
        return
    assert set(rows.fields) == {*prepared.serving_inputs, rows.target}
    made = take(rows, np.arange(rows.num_rows))
    raw = {k: tf.constant(v) for k, v in prepared.rows["train"].table.items() if k != rows.target}
    for input_name, expected in prepared.preprocess(raw).items():
        np.testing.assert_array_equal(made[input_name], expected)
    np.testing.assert_array_equal(made[rows.target], targets(prepared.rows["train"]))
    assert prepared.inputs_of("train") is rows  # not made a second time


def widened(width: int, fields) -> "object":
    """Prepared rows of one float whose inputs are `width` floats."""
    form = Form(preprocess=lambda raw: {"x": tf.tile(raw["x"][:, None], [1, width])})
    pipeline = Pipeline(name="own", source="own", forms={"wide": form})
    rows = Rows(10, fields, "label", table=TABLE)
    schema = Schema({"x": FIELDS["x"]}, "regression", FIELDS["label"])
    return prepare(pipeline, schema, dict.fromkeys(("train", "validation", "test"), rows))


@pytest.mark.parametrize(("width", "budget", "made"), [(2, 2**30, 1), (3, 2**30, 0), (2, 79, 0)])
def test_ready_leaves_numbers_stored_that_would_more_than_double(width, budget, made, monkeypatch):
    monkeypatch.setattr(rows_module, "RAM_BUDGET", budget)  # ten rows of two floats are 80 bytes
    assert widened(width, FIELDS).inputs_of("train").are_inputs == bool(made)


def test_ready_keeps_padded_inputs_without_their_padding(monkeypatch):
    monkeypatch.setattr(rows_module, "CHUNK", 16)
    prepared = sequences.prepared_of(41)
    rows, dense = prepared.inputs_of("train"), sequences.dense(41)
    made = take(rows, np.arange(41))
    for name, expected in dense.items():
        np.testing.assert_array_equal(made[name], expected)
        np.testing.assert_array_equal(rows.lengths[name], np.count_nonzero(expected, axis=1))
