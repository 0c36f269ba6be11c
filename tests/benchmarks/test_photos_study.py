"""The study of photographs: its sets, its table and its plainest side."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from benchmarks import photos_study


@pytest.fixture(name="data")
def _data(monkeypatch):
    """40 training and 30 test images of 6x6 in 4 classes, grey as a class is; by split."""
    made = {}
    for split, number in (("train", 40), ("test", 30)):
        random = np.random.default_rng(number)
        labels = np.arange(number) % 4
        images = random.integers(0, 20, (number, 6, 6, 1)) + 60 * labels[:, None, None, None]
        made[split] = {"image": images.astype(np.uint8), "label": labels}
    sets = {split: tf.data.Dataset.from_tensor_slices(rows) for split, rows in made.items()}
    for data in sets.values():
        data.as_numpy_iterator = tfds.as_numpy(data).__iter__
    monkeypatch.setattr(tfds, "load", lambda name, split: sets[split])
    return made


def test_a_set_has_so_many_images_of_each_class_and_draws_share_the_test(data, tmp_path):
    for draw in (0, 1):
        photos_study.write_set("some", 3, draw, tmp_path / str(draw))
    names = {
        (draw, split): sorted(p.name for p in (tmp_path / str(draw) / split).glob("*/*.png"))
        for draw in (0, 1)
        for split in ("train", "test")
    }
    assert names[0, "test"] == names[1, "test"]
    assert len(names[0, "test"]) == 30
    assert names[0, "train"] != names[1, "train"]
    for path in (tmp_path / "0").glob("train/*/*.png"):
        number = int(path.stem)
        assert data["train"]["label"][number] == int(path.parent.name)
        np.testing.assert_array_equal(Image.open(path), data["train"]["image"][number, ..., 0])
    _, labels = photos_study.read_set(tmp_path / "0", "train")
    assert np.bincount(labels).tolist() == [3, 3, 3, 3]
    images, _ = photos_study.read_set(tmp_path / "0", "train", 8)
    assert images.shape == (12, 8, 8, 3)


def test_classes_that_pixels_tell_apart_are_told_apart_by_scikit_learn(data, tmp_path):
    photos_study.write_set("some", 6, 0, tmp_path)
    assert photos_study.sklearn(tmp_path) == {"accuracy": 1.0}


def test_the_table_has_mean_and_deviation_of_each_side():
    lines = [
        {"set": "a", "draw": 0, "side": "auto", "accuracy": 0.5, "views": 0.6},
        {"set": "a", "draw": 1, "side": "auto", "accuracy": 0.7, "views": 0.6},
        {"set": "a", "draw": 0, "side": "keras", "accuracy": 0.4},
    ]
    assert photos_study.summary(lines)[2:] == [
        "| a | 0.6000 ± 0.1414 |  | 0.4000 | 0.6000 ± 0.0000 |"
    ]
