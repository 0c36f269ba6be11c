"""Image steps against one picture at a time in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

import pipelines
from pipelines import DataError
from pipelines.core.keys import Keys, bits_numpy, integers
from pipelines.core.stream import stream
from pipelines.steps import image
from tests.conftest import fake_pipeline, replaced


def pictures(num=40, height=12, width=10):
    return np.random.default_rng(0).integers(0, 256, (num, height, width, 3), np.uint8)


def make_keys(num=40, epoch=2):
    index = tf.range(100, 100 + num, dtype=tf.int64)
    return Keys(tf.constant(1, tf.int64), tf.constant(epoch, tf.int64), index)


def shifted(picture, offset, padding):
    top, left = divmod(int(offset), 2 * padding + 1)
    padded = np.pad(picture, ((padding, padding), (padding, padding), (0, 0)), mode="reflect")
    return padded[top : top + picture.shape[0], left : left + picture.shape[1]]


@pytest.mark.parametrize(
    ("padding", "flip", "channels"),
    [(0, False, 3), (0, True, 3), (1, True, 1), (3, False, 3), (3, True, 3), (9, True, 3)],
)
def test_crop_and_flip_equals_one_picture_at_a_time(padding, flip, channels):
    x, keys = pictures()[..., :channels], make_keys()
    augment = tf.function(image.crop_and_flip(padding, flip=flip), autograph=False)
    found, _ = augment({"image": tf.constant(x)}, tf.zeros(40, tf.int64), keys)
    offsets = integers(keys, 0, (2 * padding + 1) ** 2).numpy()
    mirrored = integers(keys, 1, 2).numpy() if flip else np.zeros(40)
    assert 5 < mirrored.sum() < 35 or not flip
    for i, picture in enumerate(x):
        expected = shifted(picture, offsets[i], padding)
        if mirrored[i]:
            expected = expected[:, ::-1]
        np.testing.assert_array_equal(found["image"][i], expected)


@pytest.mark.parametrize("num", [1, 2])
def test_a_few_pictures_are_as_good_as_many(num):
    """Most groups of equal shift are empty then."""
    augment = image.in_turn(image.crop_and_flip(3), image.cut_out(5))
    x = pictures()
    many, _ = augment({"image": tf.constant(x)}, tf.zeros(40, tf.int64), make_keys())
    few, _ = augment({"image": tf.constant(x[:num])}, tf.zeros(num, tf.int64), make_keys(num))
    np.testing.assert_array_equal(few["image"], many["image"][:num])


def test_an_alternating_flip_starts_at_random_and_changes_sides_every_epoch():
    x = pictures()
    augment = tf.function(image.crop_and_flip(0, alternating=True), autograph=False)
    first = np.array([int(bits_numpy(1, 0, 1, 100 + i)[0]) >> 63 for i in range(40)])
    assert 5 < first.sum() < 35
    for epoch in (0, 1, 2, 3):
        found, _ = augment({"image": tf.constant(x)}, tf.zeros(40, tf.int64), make_keys(40, epoch))
        for i, picture in enumerate(x):
            expected = picture[:, ::-1] if (first[i] + epoch) % 2 else picture
            np.testing.assert_array_equal(found["image"][i], expected)


@pytest.mark.parametrize("side", [1, 4, 5, 9])
def test_a_cut_out_is_a_grey_square_about_a_drawn_pixel(side):
    x = pictures()
    augment = tf.function(image.cut_out(side), autograph=False)
    found = augment({"image": tf.constant(x)}, tf.zeros(40, tf.int64), make_keys())[0]["image"]
    for i, picture in enumerate(x):
        middle = (int(bits_numpy(1, 2, 6, 100 + i)[0]) >> 32) * 120 >> 32
        expected = picture.copy()
        for row in range(12):
            for column in range(10):
                down = row - middle // 10 + side // 2
                right = column - middle % 10 + side // 2
                if 0 <= down < side and 0 <= right < side:
                    expected[row, column] = 128
        np.testing.assert_array_equal(found[i], expected)


def test_squares_are_cut_out_everywhere_alike():
    x = tf.zeros((20_000, 6, 5, 1), tf.uint8)
    found = image.cut_out(1)({"image": x}, tf.zeros(20_000, tf.int64), make_keys(20_000))[0]
    counts = (found["image"].numpy() == 128).sum((0, 3)).ravel()
    assert counts.sum() == 20_000
    expected = 20_000 / 30
    # 29 degrees of freedom: beyond 58.3 one time in a thousand, and the seed is fixed.
    assert ((counts - expected) ** 2 / expected).sum() < 58.3


def test_a_training_stream_augments_each_example_by_its_number_and_epoch():
    """Other batch sizes, shards and starts: CIFAR-10 with all options, a picture at a time."""
    pipeline = fake_pipeline("cifar10", padding=3, alternating_flip=True, cutout=6)
    table = pipeline.rows["train"].table
    numbered = pipeline.rows["train"]._replace(table={**table, "label": np.arange(70)})
    pipeline = replaced(pipeline, rows={"train": numbered})

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
            pipeline, "train", batch_size=batch_size, start_step=start, shard=shard, **options
        )
        steps = 70 // batch_size
        for step, (x, examples, _) in enumerate(batches.take(2 * steps).as_numpy_iterator(), start):
            for found, example in zip(x["image"], examples, strict=True):
                np.testing.assert_array_equal(found, expected(example, step // steps))


@pytest.mark.parametrize("options", [{"padding": 32}, {"cutout": 32}, {"padding": -1}])
def test_cifar10_refuses_what_leaves_nothing_of_an_image(options):
    with pytest.raises(DataError, match="32 pixels a side"):
        pipelines.get("cifar10", **options)


def test_cifar10_keeps_as_much_for_validation_as_asked():
    splits = pipelines.get("cifar10", validation=0.02).splits
    assert splits == {"train": "train[:98%]", "validation": "train[98%:]", "test": "test"}
    for share in (0.0, 1.0, -0.1):
        with pytest.raises(DataError, match="validation="):
            pipelines.get("cifar10", validation=share)


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


def test_views_are_each_image_its_mirror_image_and_both_moved():
    picture = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    views = image.mirrored_and_shifted({"image": tf.constant(picture)})
    assert [share for share, _ in views] == [1 / 4, 1 / 8, 1 / 8] * 2
    expected = []
    for turned in (picture, picture[:, :, ::-1]):
        for step in (0, 1, -1):
            rows = np.clip(np.arange(4) - step, 0, 3)
            columns = np.clip(np.arange(5) - step, 0, 4)
            expected.append(turned[:, rows][:, :, columns])
    for (_, view), picture in zip(views, expected, strict=True):
        np.testing.assert_array_equal(view["image"], picture)
