"""Fields and graphs found by tracing, on functions whose shapes are known."""

import tensorflow as tf

from pipelines.core import specs
from zoo.spec import Field

FIELDS = {"image": Field((4, None, 3), "uint8"), "name": Field((), "string")}


def test_signature_has_a_spec_for_each_field():
    assert specs.signature(FIELDS) == {
        "image": tf.TensorSpec((None, 4, None, 3), tf.uint8, name="image"),
        "name": tf.TensorSpec((None,), tf.string, name="name"),
    }
    assert specs.signature(FIELDS, 8)["name"].shape == (8,)


def test_preprocess_function_is_traced_once_for_the_same_fields():
    traced = []

    def preprocess(raw):
        traced.append(1)
        return {"long": tf.strings.length(raw["name"])}

    fields = (("name", FIELDS["name"]),)
    first = specs.preprocess_function(preprocess, fields)
    assert specs.preprocess_function(preprocess, fields) is first
    assert len(traced) == 1
    for texts in (["a", "bcd"], ["ef"]):
        made = first({"name": tf.constant(texts)})["long"].numpy().tolist()
        assert made == [len(text) for text in texts]


def test_fields_of_a_batch_leave_out_its_size():
    tensors = {"x": tf.zeros((5, 2), tf.float16), "y": tf.TensorSpec((None, None, 7), tf.int64)}
    assert specs.fields_of(tensors) == {
        "x": Field((2,), "float16"),
        "y": Field((None, 7), "int64"),
    }


def test_field_after_a_function_is_what_it_returns():
    assert specs.field_after(lambda y: tf.one_hot(y, 3), Field((), "int64")) == Field(
        (3,), "float32"
    )
    split = lambda y: tf.strings.length(y)
    assert specs.field_after(split, Field((2,), "string")) == Field((2,), "int32")
