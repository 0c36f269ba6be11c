"""CIFAR-10: its splits, its options and its augmentation, a picture at a time."""

import numpy as np
import pytest

import pipelines
from pipelines import DataError
from pipelines.core.keys import bits_numpy
from pipelines.core.stream import stream
from tests.conftest import fake_pipeline
from tests.pipelines.steps.test_image import shifted


def test_cifar10_is_augmented_by_example_and_epoch_however_it_is_batched():
    """Other batch sizes, shards and starts: CIFAR-10 with all options, a picture at a time."""
    prepared = fake_pipeline("cifar10", padding=3, alternating_flip=True, cutout=6)
    table = prepared.rows["train"].table
    numbered = prepared.rows["train"]._replace(table={**table, "label": np.arange(70)})
    prepared = prepared.replace(rows={"train": numbered})

    def expected(example, epoch):
        offset, first, middle = (
            (int(bits_numpy(5, at, draw, example)[0]) >> 32) * limit >> 32
            for at, draw, limit in ((epoch, 0, 49), (0, 1, 2), (epoch, 6, 32 * 32))
        )
        picture = shifted(table["image"][example], offset, 3)
        picture = picture[:, :: -1 if (first + epoch) % 2 else 1].copy()
        (top, bottom), (left, right) = (
            (max(at - 3, 0), at + 3) for at in (middle // 32, middle % 32)
        )
        picture[top:bottom, left:right] = 128
        return picture.astype(np.float32) * np.float32(1 / 127.5) - np.float32(1)

    options = {"training": True, "seed": 5}
    for batch_size, start, shard in ((10, 0, (0, 1)), (35, 0, (0, 1)), (10, 9, (1, 2))):
        batches = stream(
            prepared, "train", batch_size=batch_size, start_step=start, shard=shard, **options
        )
        steps = 70 // batch_size
        for step, (x, examples, _) in enumerate(batches.take(2 * steps).as_numpy_iterator(), start):
            for found, example in zip(x["image"], examples, strict=True):
                np.testing.assert_array_equal(found, expected(example, step // steps))


@pytest.mark.parametrize("options", [{"padding": 32}, {"cutout": 32}, {"padding": -1}])
def test_cifar10_refuses_what_leaves_nothing_of_an_image(options):
    with pytest.raises(DataError, match="images' 32 pixels"):
        pipelines.get("cifar10", **options)


def test_cifar10_validates_on_the_fraction_asked_for():
    splits = pipelines.get("cifar10", validation=0.02).splits
    assert splits == {"train": "train[:98%]", "validation": "train[98%:]", "test": "test"}
    for fraction in (0.0, 1.0, -0.1):
        with pytest.raises(DataError, match="validation="):
            pipelines.get("cifar10", validation=fraction)


def test_cifar10_declares_what_tfds_has():
    pipeline = pipelines.get("cifar10")
    assert pipeline.source == "cifar10:3.*.*"
    assert pipeline.splits == {"train": "train[:90%]", "validation": "train[90%:]", "test": "test"}
    assert pipeline.schema.class_names[3] == "cat"
    assert (pipeline.schema.task, pipeline.schema.outputs) == ("classification", 10)
    assert pipelines.get("cifar10", augment=False).augment is None
