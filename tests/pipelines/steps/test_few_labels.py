"""Few labels: which training images keep theirs, and what becomes of the others."""

import numpy as np
import pytest
import tensorflow as tf

import pipelines
from pipelines import DataError
from pipelines.core.keys import bits_numpy
from pipelines.core.pipeline import Rows
from pipelines.core.splits import digests
from pipelines.steps.few_labels import draw, hidden
from tests.conftest import fake_load
from trainers.tasks import registry
from zoo.spec import Field

LABELS = np.array([0, 1, 0, 1, 0, 1, 1, 0, 1, 0])
DIGEST = digests(bytes([i]) for i in range(10))


def test_draw_takes_the_lowest_keys_of_each_class():
    key = bits_numpy(0, 0, 1, DIGEST)
    expected = [i for c in (0, 1) for i in sorted(np.flatnonzero(c == LABELS), key=key.item)[:2]]
    assert draw(LABELS, DIGEST, 4).tolist() == sorted(expected)


def test_draw_follows_the_content_and_not_the_place():
    order = np.random.default_rng(0).permutation(10)
    moved = draw(LABELS[order], DIGEST[order], 4)
    assert sorted(order[moved].tolist()) == draw(LABELS, DIGEST, 4).tolist()
    # More labels keep those that fewer had.
    assert set(draw(LABELS, DIGEST, 4)) < set(draw(LABELS, DIGEST, 6))


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (5, "labels=5 does not divide over 2 classes: choose labels=4 or 6"),
        (1, "labels=1 does not divide over 2 classes: choose labels=2"),
        (12, "labels=12 is 6 of each of 2 classes, but class 'a' has 5 .* at most labels=10"),
    ],
)
def test_draw_refuses_numbers_that_classes_do_not_have(number, message):
    with pytest.raises(DataError, match=message):
        draw(LABELS, DIGEST, number, ("a", "b"))


def test_rows_without_a_label_have_minus_one_however_they_are_stored():
    fields = {"label": Field((), "int64")}
    table = {"label": LABELS}
    kept = np.array([1, 4])
    expected = [-1, 1, -1, -1, 0, -1, -1, -1, -1, -1]
    in_memory = hidden(Rows(10, fields, "label", table=table), kept)
    assert in_memory.table["label"].tolist() == expected
    read = hidden(Rows(10, fields, "label", read=lambda i: {"label": LABELS[i]}), kept).read
    assert read(np.array([4, 3, 1]))["label"].tolist() == [0, -1, 1]
    take = lambda i: {"label": tf.gather(LABELS, i)}
    taken = hidden(Rows(10, fields, "label", take=take), kept).take(tf.constant([4, 3, 1]))
    assert taken["label"].numpy().tolist() == [0, -1, 1]


def cut(task: str, **options):
    """Rows of random CIFAR-10 under the option, and as they were."""
    pipeline = registry.source(task, pipelines.get("cifar10", **options))
    _, rows, _ = fake_load(pipeline)
    return pipeline.cut(rows), rows


def test_supervised_tasks_train_on_the_labelled_rows_alone(caplog):
    rows, before = cut("classification", labels=20)
    assert rows["train"].num_rows == len(rows["train"].table["image"]) == 20
    assert np.bincount(rows["train"].table["label"]).tolist() == [2] * 10
    assert rows["test"] is before["test"]
    caplog.set_level("INFO")
    without, _ = cut("masked_lm", labels=20)
    assert "labels=20 of 70 training images are used" in caplog.text
    # A task without labels trains on all of them, and knows the same labels.
    train = without["train"]
    assert train.num_rows == 70
    known = np.flatnonzero(train.table["label"] >= 0)
    np.testing.assert_array_equal(train.table["image"][known], rows["train"].table["image"])
    np.testing.assert_array_equal(train.table["label"][known], rows["train"].table["label"])


def test_every_image_pipeline_has_the_option():
    options = {name: pipelines.describe(name).options for name in pipelines.names()}
    image = [name for name, offered in options.items() if offered.get("labels") == 0]
    assert image == ["cifar10", "digits", "image_folder", "mnist", "shapes", "tfds_image"]
    digits = pipelines.get("digits", labels=20)
    _, rows, _ = fake_load(digits)
    found = digits.cut(rows)  # after the cut that it had before
    assert {name: part.num_rows for name, part in found.items()}["train"] == 20
    assert set(found) == {"train", "validation", "test"}
