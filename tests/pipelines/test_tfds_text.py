"""Any set of texts of TFDS by name."""

import pytest

import pipelines
from pipelines import DataError, tfds_text
from pipelines.storage import tfds
from pipelines.storage.builders import find_builder
from trainers.tasks import registry
from zoo.spec import Field


@pytest.mark.parametrize(
    ("dataset", "reason"),
    [
        ("mnist", "mnist has no text with one label; it has"),
        ("glue/qqp", "texts question1, question2: choose --pipeline_options=field=question1"),
        ("imdb_review", "nearest: imdb_reviews"),
    ],
)
def test_tfds_text_refuses_by_the_description_alone(dataset, reason, tmp_path):
    with pytest.raises(DataError, match=reason):
        tfds.load(pipelines.get("tfds_text", dataset=dataset), data_dir=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def declared(**options):
    pipeline = pipelines.get("tfds_text", **options)
    return pipeline.declare(find_builder(pipeline.source, None).info)


def test_tfds_text_takes_a_field_by_name():
    schema, splits = declared(dataset="glue/qqp", field="question2")
    assert schema.raw == {"question2": Field((), "string")}
    assert (schema.task, schema.target_name) == ("binary", "label")
    assert splits["validation"] == "train[90%:]"


def test_tfds_text_refuses_a_field_that_is_not_a_text():
    with pytest.raises(DataError, match="choose --pipeline_options=field=question1"):
        declared(dataset="glue/qqp", field="idx")


def test_tfds_text_takes_classes_and_their_names_from_tfds():
    schema, _ = declared(dataset="ag_news_subset", field="description", validation_percent=20)
    assert schema.class_names == ("World", "Sports", "Business", "Sci/Tech")
    assert (schema.task, schema.outputs) == ("classification", 4)


@pytest.mark.parametrize(
    ("available", "percent", "expected"),
    [
        (
            ("train", "test", "unsupervised"),
            10,
            ("train[:90%]+unsupervised[:90%]", "unsupervised[90%:95%]", "unsupervised[95%:]"),
        ),
        (("train", "test"), 10, ("train[:90%]", "train[90%:]", "test")),
        (("train", "validation"), 10, ("train[:90%]", "train[90%:]", "validation")),
        (("train",), 1, ("train[:98%]", "train[98%:99%]", "train[99%:]")),
        ((), 10, ("train[:90%]", "train[90%:]", "test")),  # not prepared: nobody knows
    ],
)
def test_tfds_text_without_labels_trains_on_no_test_text(available, percent, expected):
    found = tfds_text._splits("a_set", available, percent)
    assert tuple(found[name] for name in ("train", "validation", "test")) == expected


def test_tfds_text_without_labels_takes_sets_that_have_none():
    pipeline = registry.source("masked_lm", pipelines.get("tfds_text", dataset="tiny_shakespeare"))
    schema, _ = pipeline.declare(find_builder(pipeline.source, None).info)
    assert schema.raw == {"text": Field((), "string")}
    assert schema.target is None
    pipeline = registry.source("masked_lm", pipelines.get("tfds_text", dataset="mnist"))
    with pytest.raises(DataError, match="mnist has no text; it has"):
        pipeline.declare(find_builder("mnist", None).info)


def test_tfds_text_is_tested_on_the_split_that_has_labels():
    _, splits = declared(dataset="glue/qqp", field="question2", test_split="validation")
    assert splits == {"train": "train[:90%]", "validation": "train[90%:]", "test": "validation"}
    _, splits = declared(dataset="glue/qqp", field="question2")
    assert splits["test"] == "test"
