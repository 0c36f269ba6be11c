"""Any set of images of TFDS by name."""

import types

import numpy as np
import pytest
import tensorflow as tf

import pipelines
from pipelines import DataError
from pipelines.storage import tfds
from tests.pipelines.tables import loaded
from zoo.spec import Field


@pytest.mark.slow
def test_tfds_image_resizes_what_it_stores_and_what_a_client_sends_alike(built_in_data):
    prepared = loaded(pipelines.get("tfds_image", dataset="shapes", image_size=24), built_in_data)
    assert prepared.source == "shapes:1.0.0"
    assert prepared.spec.inputs["image"] == Field((24, 24, 3), "float32")
    assert prepared.raw["image"] == Field((32, 32, 3), "uint8")
    assert prepared.rows["train"].table["image"].shape == (13_500, 24, 24, 3)
    plain = tfds.load(pipelines.get("shapes"), data_dir=built_in_data)[1]["test"].table["image"][:9]
    stored = prepared.rows["test"].table["image"][:9]
    np.testing.assert_array_equal(
        prepared.preprocess({"image": tf.constant(plain)})["image"],
        prepared.preprocess({"image": tf.constant(stored)})["image"],
    )


@pytest.mark.slow
def test_tfds_image_cuts_validation_from_the_end_of_training(built_in_data):
    pipeline = pipelines.get("tfds_image", dataset="shapes", validation_percent=20)
    pipeline, rows, schema = tfds.load(pipeline, data_dir=built_in_data)
    assert dict(pipeline.splits) == {
        "train": "train[:80%]",
        "validation": "train[80%:]",
        "test": "test",
    }
    assert {split: part.num_rows for split, part in rows.items()} == {
        "train": 12_000,
        "validation": 3_000,
        "test": 3_000,
    }
    assert (schema.task, schema.outputs) == ("classification", 10)


def test_tfds_image_is_tested_on_the_split_that_has_labels():
    """The test split of imagenet2012 has the label -1."""
    features = {"image": types.SimpleNamespace(shape=(8, 8, 3))}
    features["label"] = types.SimpleNamespace(names=["cat", "dog"])
    info = types.SimpleNamespace(features=features, splits=("train", "validation", "test"))

    def splits(**options):
        return pipelines.get("tfds_image", dataset="made", **options).declare(info)[1]

    assert splits()["test"] == "test"
    assert splits(test_split="validation") == {
        "train": "train[:90%]",
        "validation": "train[90%:]",
        "test": "validation",
    }
    with pytest.raises(DataError, match="made has no tast split"):
        splits(test_split="tast")


@pytest.mark.parametrize(
    ("dataset", "options", "reason"),
    [
        ("imdb_reviews", {}, "imdb_reviews has no image with one label; it has"),
        ("coco", {}, "has no image with one label"),
        ("cats_vs_dogs", {}, "differ in size: choose --pipeline_options=image_size=64"),
        ("shapes", {"padding": 32}, "padding=32 must be less than the images' 32 pixels"),
    ],
)
def test_tfds_image_refuses_by_the_description_alone(dataset, options, reason, tmp_path):
    pipeline = pipelines.get("tfds_image", dataset=dataset, **options)
    with pytest.raises(DataError, match=reason):
        tfds.load(pipeline, data_dir=str(tmp_path))
    assert list(tmp_path.iterdir()) == []
