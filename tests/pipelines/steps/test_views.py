"""Two views of each image, in training and in validation."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines import DataError
from pipelines.core.keys import Keys
from pipelines.core.stream import stream
from pipelines.steps.image import crop_and_flip
from pipelines.steps.views import changes, interleaved, row_numbers, two_views
from tests.conftest import fake_pipeline


def keys(*rows: int, epoch: int = 0) -> Keys:
    return Keys(tf.constant(7, tf.int64), tf.constant(epoch, tf.int64), tf.constant(rows, tf.int64))


def test_rows_of_two_batches_in_turn():
    first, second = tf.constant([[1], [3]]), tf.constant([[2], [4]])
    assert interleaved(first, second).numpy().ravel().tolist() == [1, 2, 3, 4]


def test_views_are_the_augmentation_by_two_names():
    image = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    augment, drawn = crop_and_flip(2), keys(4, 9, 2)
    raw, target = two_views(augment)({"image": tf.constant(image)}, tf.constant([1, 2, 3]), drawn)
    assert target.numpy().tolist() == [1, 2, 3]
    for i, name in enumerate(("view1", "view2")):
        one, _ = augment({"image": tf.constant(image)}, None, drawn.named(name))
        np.testing.assert_array_equal(raw["image"][i::2], one["image"])
    assert (raw["image"][::2] != raw["image"][1::2]).numpy().any(axis=(1, 2, 3)).all()


def test_images_that_lose_their_colour_keep_their_brightness():
    image = np.random.default_rng(0).integers(0, 256, (200, 4, 4, 3), np.uint8)
    raw, _ = changes(crop=0, jitter=0, grey=0.25, flip=False)(
        {"image": tf.constant(image)}, None, keys(*range(200))
    )
    same = (raw["image"] == image).numpy().all(axis=(1, 2, 3))
    grey = (raw["image"] == raw["image"][..., :1]).numpy().all(axis=(1, 2, 3))
    np.testing.assert_array_equal(same, ~grey)
    assert 0.15 < grey.mean() < 0.35
    shade = image @ [0.299, 0.587, 0.114]
    assert np.abs(raw["image"].numpy()[grey][..., 0] - shade[grey]).max() <= 1


def test_changes_are_those_that_are_asked_for_and_16_bits_keep_their_values():
    image = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), np.uint8)
    for options in ({"crop": 0.2}, {"jitter": 0.4}, {"grey": 0.9}, {"flip": True}):
        augment = changes(**{"crop": 0, "jitter": 0, "grey": 0, "flip": False, **options})
        raw, _ = augment({"image": tf.constant(image)}, None, keys(*range(20)))
        assert (raw["image"] != image).numpy().any(axis=(1, 2, 3)).mean() > 0.2, options
    wide = tf.constant(image.astype(np.uint16) * 257)
    raw, _ = changes(crop=0, jitter=0.4, grey=0.9, flip=False)(
        {"image": wide}, None, keys(*range(20))
    )
    np.testing.assert_array_equal(raw["image"], wide)


def test_images_of_other_channels_are_refused_in_one_line_and_flipped_and_cropped():
    image = tf.zeros((2, 8, 8, 4), tf.uint8)
    for options, name in (({"jitter": 0.4, "grey": 0.2}, "jitter"), ({"grey": 0.2}, "grey")):
        augment = changes(**{"crop": 0.2, "jitter": 0, "flip": True, **options})
        with pytest.raises(DataError, match=f"{name} takes images of 8 bits with 1 or 3 channels"):
            augment({"image": image}, None, keys(0, 1))
    raw, _ = changes(crop=0.2, jitter=0, grey=0, flip=True)({"image": image}, None, keys(0, 1))
    assert raw["image"].shape == image.shape


def viewed():
    return fake_pipeline("cifar10").replace(
        augment=two_views(crop_and_flip(4)), augment_always=True, example=row_numbers
    )


def test_validation_sees_the_same_views_each_time_and_training_new_ones():
    prepared = viewed()

    def images(training: bool, passes: int) -> list[np.ndarray]:
        """The views of all 21 rows in stored order: a batch is an epoch."""
        options = {"batch_size": 21, "training": training, "seed": 0}
        data = stream(prepared, "validation", **options).take(passes)
        return [
            x["image"][np.repeat(2 * np.argsort(y), 2) + [0, 1] * 21]
            for x, y, _ in data.as_numpy_iterator()
        ]

    [seen], [again] = images(False, 1), images(False, 1)
    first, second = images(True, 2)
    assert seen.shape == (42, 32, 32, 3)
    np.testing.assert_array_equal(seen, again)
    np.testing.assert_array_equal(seen, first)  # the draws of epoch 0
    assert (seen != second).any(axis=(1, 2, 3)).mean() > 0.9


def test_rows_that_fill_up_a_batch_have_no_number():
    data = stream(viewed(), "validation", batch_size=16, training=False, seed=0)
    _, (_, y, weight) = data.as_numpy_iterator()
    assert y.tolist() == [16, 17, 18, 19, 20, *[-1] * 11]
    assert weight.tolist() == [1.0] * 5 + [0.0] * 11
