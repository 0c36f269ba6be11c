"""Handwritten digits: scikit-learn's, with a share of each class in every split."""

import numpy as np
import sklearn.datasets
import tensorflow as tf

import pipelines
from pipelines.core.prepared import prepare, served
from pipelines.storage import tfds
from trainers.config.settings import resolve
from trainers.store import logs
from trainers.training.run import run


def test_digits_are_scikit_learn_s_and_every_split_has_its_fraction(built_in_data):
    pipeline, rows, schema = tfds.load(pipelines.get("digits"), data_dir=built_in_data)
    data, table = sklearn.datasets.load_digits(), rows["all"].table
    np.testing.assert_array_equal(np.round(table["image"][..., 0] * (16 / 255)), data.images)
    np.testing.assert_array_equal(table["label"], data.target)
    parts = prepare(pipeline, schema, rows).rows
    assert {name: part.num_rows for name, part in parts.items()} == {
        "train": 1257,
        "validation": 180,
        "test": 360,
    }
    for part in parts.values():
        fractions = np.bincount(part.table["label"], minlength=10) / part.num_rows
        assert np.abs(fractions - 0.1).max() < 0.011
    seen = [picture.tobytes() for part in parts.values() for picture in part.table["image"]]
    assert len(set(seen)) == len(seen)  # no picture is there twice, so none is in two splits
    other = prepare(pipelines.get("digits", split_seed=1), schema, rows).rows["test"]
    assert (other.table["image"] != parts["test"].table["image"]).any()


def test_digits_enlarged_keep_corners_and_mean():
    pipeline = pipelines.get("digits")
    preprocess = served(pipeline, pipeline.schema, state={}).preprocess
    x = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), np.uint8)
    found = preprocess({"image": tf.constant(x)})["image"].numpy()
    assert found.shape == (6, 28, 28, 1)
    grey = (found + 1) * 127.5
    corners = (slice(None), slice(None, None, 27), slice(None, None, 27))
    np.testing.assert_allclose(grey[corners], x[:, ::7, ::7], atol=1e-3)  # beyond centres: as is
    np.testing.assert_allclose(grey.mean((1, 2, 3)), x.mean((1, 2, 3)), rtol=0.03)


def test_a_run_on_digits_writes_its_pictures_to_tensorboard(built_in_data, tmp_path):
    # The one built-in pipeline whose `preprocess` enlarges: pictures too must pass through it.
    data = {"pipeline": "digits", "data_dir": built_in_data, "workdir": str(tmp_path / "run")}
    small = {"epochs": 1, "hparams": {"filters": (2, 2), "units": 4}, "report_baseline": False}
    run(resolve("mnist_cnn_5x5", {**data, **small}))
    tags = [
        tag
        for path in (tmp_path / "run/tensorboard/validation").iterdir()
        for record in logs.events(path).entries
        for tag in logs.tags_of(record)
    ]
    assert "predictions" in tags
