"""Breast cancer: scikit-learn's columns, in both input forms."""

import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf

import pipelines
from pipelines.core.prepared import prepare, served
from tests.conftest import NUM_ROWS, fake_rows
from tests.pipelines.tables import loaded
from zoo.spec import Field


def rows_of(pipeline):
    return fake_rows(pipeline, pipeline.schema)


def test_breast_cancer_is_scikit_learn_s(built_in_data):
    prepared = loaded(pipelines.get("breast_cancer"), built_in_data)
    data = sklearn.datasets.load_breast_cancer()
    assert prepared.class_names == tuple(data.target_names)
    assert len(prepared.raw) == 30
    first = np.concatenate([part.table["mean_radius"] for part in prepared.rows.values()])
    np.testing.assert_array_equal(np.sort(first), np.sort(data.data[:, 0].astype(np.float32)))
    label = np.concatenate([part.table["label"] for part in prepared.rows.values()])
    assert label.sum() == 357  # benign, as its description says


def test_breast_cancer_splits_are_disjoint_stratified_and_seeded():
    pipeline = pipelines.get("breast_cancer", split_seed=1)
    rows = rows_of(pipeline)
    splits = prepare(pipeline, pipeline.schema, rows).rows
    values = [set(r.table["mean_radius"].tolist()) for r in splits.values()]
    assert sum(map(len, values)) == len(set.union(*values)) == NUM_ROWS["all"]
    fractions = [r.table["label"].mean() for r in splits.values()]
    assert max(fractions) - min(fractions) < 0.05
    same = prepare(pipeline, pipeline.schema, rows).rows["test"].table["mean_radius"]
    np.testing.assert_array_equal(same, splits["test"].table["mean_radius"])
    other = pipelines.get("breast_cancer", split_seed=2)
    moved = prepare(other, other.schema, rows).rows["test"].table["mean_radius"]
    assert set(moved.tolist()) != set(same.tolist())


def test_breast_cancer_statistics_come_from_training_rows_and_can_be_put_back():
    pipeline = pipelines.get("breast_cancer")
    first = prepare(pipeline, pipeline.schema, rows_of(pipeline))
    train = first.rows["train"].table["mean_radius"]
    assert first.state["inputs/vector"]["mean"][0] == pytest.approx(train.mean(), rel=1e-6)
    raw = {name: tf.constant(first.rows["test"].table[name]) for name in first.raw}
    by_hand = (first.rows["test"].table["mean_radius"] - train.mean()) / train.std()
    np.testing.assert_allclose(
        first.preprocess(raw)["features"][:, 0], by_hand, rtol=1e-5, atol=1e-6
    )
    again = served(pipeline, pipeline.schema, state=first.state)
    np.testing.assert_array_equal(
        first.preprocess(raw)["features"], again.preprocess(raw)["features"]
    )


def test_breast_cancer_has_columns_as_its_second_form():
    pipeline = pipelines.get("breast_cancer")
    prepared = prepare(pipeline, pipeline.schema, rows_of(pipeline), form="columns")
    assert prepared.spec.inputs == {
        name: Field((30,), "float32") for name in ("numbers", "ranks", "missing")
    }
    train, test = (prepared.rows[split].table for split in ("train", "test"))
    made = prepared.preprocess({name: tf.constant(test[name]) for name in prepared.raw})
    for i, name in enumerate(prepared.raw):
        column = train[name].astype(np.float64)
        low, centre, high = np.quantile(column, [0.25, 0.5, 0.75])
        scaled = (test[name] - centre) / (high - low)
        standard = scaled / np.sqrt(1 + (scaled / 3) ** 2)
        np.testing.assert_allclose(made["numbers"][:, i], standard, rtol=1e-4, atol=1e-5)
        quantiles = np.quantile(column, np.linspace(0, 1, 257))
        expected = np.interp(test[name], quantiles, np.linspace(0, 1, 257))
        np.testing.assert_allclose(made["ranks"][:, i], expected, atol=1e-4)
    np.testing.assert_array_equal(made["missing"], np.zeros((len(test["label"]), 30)))
