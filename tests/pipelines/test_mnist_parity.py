"""Odd or even, by hand."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import pipelines
from pipelines import Rows, mnist_parity
from pipelines.core.prepared import served
from tests.conftest import fake_load
from zoo.spec import Field


def test_parity_is_one_for_odd_digits():
    fields = {"image": Field((28, 28, 1), "uint8"), "label": Field((), "int64")}
    image_column, label = np.zeros((5, 28, 28, 1), np.uint8), np.array([0, 3, 4, 7, 9])
    rows = Rows(5, fields, "label", table={"image": image_column, "label": label})
    np.testing.assert_array_equal(mnist_parity.parity(rows).table["label"], [0, 1, 0, 1, 1])
    np.testing.assert_array_equal(label, [0, 3, 4, 7, 9])  # the caller's rows are untouched


def test_mnist_parity_reads_the_splits_of_mnist(monkeypatch):
    asked = []

    def load(pipeline, data_dir=None):
        asked.append((pipeline.name, data_dir))
        exact = dataclasses.replace(pipeline, source="mnist:3.0.1")
        return exact, *fake_load(pipeline)[1:]

    monkeypatch.setattr(mnist_parity, "load", load)
    rows, schema = pipelines.get("mnist_parity", data_dir="data").read()
    assert asked == [("mnist", "data")]
    digits = fake_load(pipelines.get("mnist"))[1]
    for split, part in rows.items():
        np.testing.assert_array_equal(part.table["label"], digits[split].table["label"] % 2)
        np.testing.assert_array_equal(part.table["image"], digits[split].table["image"])
    assert (schema.task, schema.class_names) == ("binary", ("even", "odd"))
    assert schema.source == "mnist:3.0.1"


def test_mnist_parity_has_the_pixels_row_after_row():
    pipeline = pipelines.get("mnist_parity")
    prepared = served(pipeline, pipeline.schema, state={})
    x = np.zeros((1, 28, 28, 1), np.uint8)
    x[0, 0, 1], x[0, 1, 0] = 255, 51
    found = prepared.preprocess({"image": tf.constant(x)})["features"].numpy()
    assert found.shape == (1, 784)
    assert found[0, 0] == pytest.approx(-0.1307 / 0.3081, rel=1e-5)
    assert found[0, 1] == pytest.approx((1 - 0.1307) / 0.3081, rel=1e-5)
    assert found[0, 28] == pytest.approx((0.2 - 0.1307) / 0.3081, rel=1e-5)
