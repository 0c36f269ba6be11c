"""IMDB: what it declares of its reviews and of their pieces."""

import numpy as np

import pipelines
from pipelines.core.prepared import prepare
from tests.conftest import fake_pipeline, fake_rows


def test_imdb_declares_its_vocabulary_and_its_longest_text():
    prepared = fake_pipeline("imdb", max_length=40)
    field = prepared.spec.inputs["tokens"]
    assert field.ids == len(prepared.state["inputs/pieces"]["vocabulary"])
    assert field.length == 40
    assert field.shape == (None,)
    assert (prepared.task, prepared.class_names) == ("binary", ("neg", "pos"))


def test_imdb_learns_its_vocabulary_from_training_texts_alone():
    pipeline = pipelines.get("imdb")
    rows = fake_rows(pipeline, pipeline.schema)
    others = {k: rows[k].table["text"] + b" elsewhere" for k in ("validation", "test")}
    changed = rows | {
        k: rows[k]._replace(table={**rows[k].table, "text": v}) for k, v in others.items()
    }
    first, second = (
        prepare(pipeline, pipeline.schema, r).state["inputs/pieces"]["vocabulary"]
        for r in (rows, changed)
    )
    np.testing.assert_array_equal(first, second)


def test_imdb_validates_on_a_tenth_of_training():
    assert pipelines.get("imdb").splits == {
        "train": "train[:90%]",
        "validation": "train[90%:]",
        "test": "test",
    }
