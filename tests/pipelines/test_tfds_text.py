"""Any set of texts of TFDS by name."""

import pytest

import pipelines
from pipelines import DataError
from pipelines.storage import tfds
from pipelines.storage.builders import find_builder
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
