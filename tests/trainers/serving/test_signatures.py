"""Signatures are traced for any batch, and make their own arguments from stored rows."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines.core.keys import uniform
from tests.conftest import fake_pipeline, made_pipeline
from trainers.serving.signatures import arguments_of, from_raw, raw_fields, traced
from trainers.tasks.registry import Signature
from zoo.spec import Field

PAIR = {"x": Field((2,), "float32")}


def test_one_keyword_for_each_raw_field_and_any_batch_size():
    prepared = fake_pipeline("breast_cancer")
    made = from_raw(lambda output, names: {"logits": output, "double": 2 * output})
    signatures = made(None, {}, lambda x, training: x["features"], prepared)
    function = traced(signatures)["serving_default"]
    assert function.structured_input_signature[1].keys() == prepared.raw.keys()
    table = prepared.rows["test"].table
    for size in (1, 3):
        raw = {name: tf.constant(table[name][:size]) for name in prepared.raw}
        expected = prepared.preprocess(raw)["features"]
        np.testing.assert_allclose(function(**raw)["double"], 2 * expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("outputs", [lambda x: {"one": x}, lambda x: x])
def test_a_single_output_is_refused(outputs):
    with pytest.raises(ValueError, match="at least two tensors by name"):
        traced({"score": Signature(outputs, PAIR, raw_fields)})


def test_arguments_see_raw_x_target_and_keys():
    prepared = made_pipeline("binary")

    def example(inputs, target, keys):
        noise = uniform(keys.named("noise"), 0)
        return {"x": inputs["x"] + noise[:, None]}, target + 1, noise

    def arguments(batch):
        raw, x = batch.raw["x"], batch.x["x"]
        both = {"inputs": batch.inputs["x"], "y": batch.y, "weight": batch.weight}
        return {"raw": raw, "x": x, "target": batch.target, "index": batch.keys.index, **both}

    table = prepared.rows["test"].table
    one = Signature(None, PAIR, arguments)
    function = arguments_of(
        one, prepared.replace(example=example), {}, seed=5, target=table["label"]
    )
    for index in (np.array([4, 7, 9]), np.array([7])):
        stored = {"x": table["x"][index]}
        found, y, weight = function(stored, table["label"][index], index)
        np.testing.assert_array_equal(found["raw"], stored["x"])
        np.testing.assert_array_equal(found["target"], table["label"][index])
        np.testing.assert_array_equal(found["index"], index)
        np.testing.assert_array_equal(found["inputs"], stored["x"])
        np.testing.assert_array_equal(y, table["label"][index] + 1)
        np.testing.assert_array_equal(found["y"], y)
        np.testing.assert_array_equal(found["weight"], weight)
        np.testing.assert_allclose(found["x"], stored["x"] + weight.numpy()[:, None], rtol=1e-6)
    # The draw of row 7 does not depend on its batch.
    many, _, _ = function({"x": table["x"][[4, 7]]}, table["label"][[4, 7]], np.array([4, 7]))
    np.testing.assert_array_equal(many["x"][1], found["x"][0])


def test_rows_that_are_inputs_have_no_raw_fields():
    prepared = made_pipeline("binary")
    prepared = prepared.replace(
        forms={"pair": prepared.pipeline.forms["pair"]}, example=lambda x, y, keys: (x, x["x"], y)
    )
    seen = []

    def arguments(batch):
        seen.append(batch.raw)
        return dict(batch.x)

    function = arguments_of(
        Signature(None, PAIR, arguments),
        prepared,
        {},
        seed=0,
        target=np.zeros(1, np.int64),
        are_inputs=True,
    )
    found, _, _ = function({"x": np.ones((2, 2), np.float32)}, np.array([0, 1]), np.arange(2))
    np.testing.assert_array_equal(found["x"], np.ones((2, 2)))
    assert seen == [{}]


def test_data_without_a_target_passes_none():
    prepared = made_pipeline("binary")
    prepared = prepared.replace(
        example=lambda x, target, keys: (x, x["x"], tf.ones_like(keys.index))
    )
    function = arguments_of(
        Signature(None, PAIR, lambda batch: batch.raw if batch.target is None else {}),
        prepared,
        {},
        seed=0,
        target=None,
    )
    found, y, _ = function({"x": np.ones((2, 2), np.float32)}, None, np.arange(2))
    assert list(found) == ["x"]
    np.testing.assert_array_equal(y, np.ones((2, 2)))
