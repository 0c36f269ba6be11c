"""Image steps against one picture at a time in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines import image
from pipelines.keys import Keys, integers


def pictures(num=40, height=12, width=10):
    return np.random.default_rng(0).integers(0, 256, (num, height, width, 3), np.uint8)


def make_keys(num=40, epoch=2):
    index = tf.range(100, 100 + num, dtype=tf.int64)
    return Keys(tf.constant(1, tf.int64), tf.constant(epoch, tf.int64), index)


@pytest.mark.parametrize("padding", [0, 1, 3])
@pytest.mark.parametrize("flip", [False, True])
def test_crop_and_flip_equals_one_picture_at_a_time(padding, flip):
    x, keys = pictures(), make_keys()
    augment = tf.function(image.crop_and_flip(padding, flip=flip), autograph=False)
    found, _ = augment({"image": tf.constant(x)}, tf.zeros(40, tf.int64), keys)
    offsets = integers(keys, 0, (2 * padding + 1) ** 2).numpy()
    mirrored = integers(keys, 1, 2).numpy() if flip else np.zeros(40)
    assert 5 < mirrored.sum() < 35 or not flip
    for i, picture in enumerate(x):
        top, left = divmod(offsets[i], 2 * padding + 1)
        padded = np.pad(picture, ((padding, padding), (padding, padding), (0, 0)), mode="reflect")
        expected = padded[top : top + 12, left : left + 10]
        if mirrored[i]:
            expected = expected[:, ::-1]
        np.testing.assert_array_equal(found["image"][i], expected)


def test_scale_is_minus_one_to_one():
    scaled = image.scale({"image": tf.constant([[[[0], [255]]]], tf.uint8)})["image"]
    assert scaled.dtype == tf.float32
    np.testing.assert_allclose(scaled.numpy().ravel(), [-1.0, 1.0])


def test_resizing_what_was_resized_changes_nothing():
    x = tf.constant(pictures(4, 30, 17))
    once = image.resize(x, 16)
    assert once.shape == (4, 16, 16, 3)
    assert once.dtype == tf.uint8
    np.testing.assert_array_equal(image.resize(once, 16), once)
    single = image.resize(x[0], 16)  # as rows are stored, one at a time
    np.testing.assert_array_equal(single, once[0])
    flat = tf.fill((1, 40, 40, 3), tf.constant(77, tf.uint8))
    np.testing.assert_array_equal(
        image.resize(flat, 16), tf.fill((1, 16, 16, 3), tf.constant(77, tf.uint8))
    )
