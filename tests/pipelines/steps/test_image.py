"""Image steps against one picture at a time in NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from pipelines.core.keys import Keys, bits_numpy, integers
from pipelines.core.pipeline import Rows
from pipelines.steps import image
from zoo.spec import Field


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
def test_in_turn_of_a_few_pictures_equals_that_of_many(num):
    """Most groups of equal shift are empty then."""
    augment = image.in_turn(image.crop_and_flip(3), image.cut_out(5))
    x = pictures()
    many, _ = augment({"image": tf.constant(x)}, tf.zeros(40, tf.int64), make_keys())
    few, _ = augment({"image": tf.constant(x[:num])}, tf.zeros(num, tf.int64), make_keys(num))
    np.testing.assert_array_equal(few["image"], many["image"][:num])


def test_crop_and_flip_alternating_changes_sides_every_epoch():
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
def test_cut_out_is_a_grey_square_about_a_drawn_pixel(side):
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


def test_cut_out_is_everywhere_alike():
    x = tf.zeros((20_000, 6, 5, 1), tf.uint8)
    found = image.cut_out(1)({"image": x}, tf.zeros(20_000, tf.int64), make_keys(20_000))[0]
    counts = (found["image"].numpy() == 128).sum((0, 3)).ravel()
    assert counts.sum() == 20_000
    expected = 20_000 / 30
    # 29 degrees of freedom: beyond 58.3 one time in a thousand, and the seed is fixed.
    assert ((counts - expected) ** 2 / expected).sum() < 58.3


def test_scale_is_minus_one_to_one():
    scaled = image.scale({"image": tf.constant([[[[0], [255]]]], tf.uint8)})["image"]
    assert scaled.dtype == tf.float32
    np.testing.assert_allclose(scaled.numpy().ravel(), [-1.0, 1.0])


def test_largest_value_of_no_rows_is_that_of_8_bits():
    """Of a split without images, which is refused afterwards."""
    fields = {"image": Field((2, 2, 3), "uint16")}
    rows = Rows(0, fields, None, table={"image": np.zeros((0, 2, 2, 3), np.uint16)})
    assert int(image.largest_value(rows)["largest"]) == 255


def test_resize_of_what_was_resized_changes_nothing():
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


def test_mirrored_views_are_each_image_and_its_mirror_image():
    picture = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    views = image.mirrored({"image": tf.constant(picture), "id": 7})
    assert [weight for weight, _ in views] == [0.5, 0.5]
    np.testing.assert_array_equal(views[0][1]["image"], picture)
    np.testing.assert_array_equal(views[1][1]["image"], picture[:, :, ::-1])
    assert views[1][1]["id"] == 7


def test_mirrored_and_shifted_views_are_each_image_its_mirror_image_and_both_moved():
    picture = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    views = image.mirrored_and_shifted({"image": tf.constant(picture)})
    assert [weight for weight, _ in views] == [1 / 4, 1 / 8, 1 / 8] * 2
    expected = []
    for turned in (picture, picture[:, :, ::-1]):
        for step in (0, 1, -1):
            rows = np.clip(np.arange(4) - step, 0, 3)
            columns = np.clip(np.arange(5) - step, 0, 4)
            expected.append(turned[:, rows][:, :, columns])
    for (_, view), picture in zip(views, expected, strict=True):
        np.testing.assert_array_equal(view["image"], picture)


def warp(x: np.ndarray, keys, **most) -> np.ndarray:
    augment = tf.function(image.affine(**most), autograph=False)
    return augment({"image": tf.constant(x)}, tf.zeros(len(x), tf.int64), keys)[0]["image"].numpy()


def test_affine_equals_one_picture_at_a_time():
    """Against SciPy's spline interpolation of order one, whatever the sides of the picture."""
    x, keys = pictures(40, 13, 20), make_keys(40)
    found = warp(x, keys, degrees=30.0, zoom=0.5, shift=3.0)
    angle, zoom, down, right = (
        np.linspace(-1, 1, 256)[integers(keys, draw, 256)] for draw in (2, 3, 4, 5)
    )
    middle = np.array([6.0, 9.5])
    for i, picture in enumerate(x):
        t = np.deg2rad(30.0 * angle[i])
        turn = np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]])  # of (down, right)
        back = np.linalg.inv(turn * 1.5 ** zoom[i])
        moved = middle + 3.0 * np.array([down[i], right[i]])
        expected = np.stack(
            [
                ndimage.affine_transform(
                    plane.astype(float), back, middle - back @ moved, order=1, mode="grid-constant"
                )
                for plane in np.moveaxis(picture, -1, 0)
            ],
            axis=-1,
        )
        assert np.abs(found[i] - expected).max() < 0.52, i  # rounded to whole grey levels


def test_affine_shifts_by_what_was_drawn():
    x = np.zeros((40, 9, 9, 1), np.uint8)
    x[:, 4, 4] = 255
    keys = make_keys(40)
    found = warp(x, keys, degrees=0.0, zoom=0.0, shift=3.0).astype(float)[..., 0]
    grid = np.arange(9)
    total = found.sum((1, 2))
    for draw, axis in ((4, 2), (5, 1)):
        centre = (found.sum(axis) * grid).sum(1) / total
        expected = 4 + 3 * np.linspace(-1, 1, 256)[integers(keys, draw, 256)]
        np.testing.assert_allclose(centre, expected, atol=0.02)
    assert (total > 250).all()  # no grey is lost on the way


def test_affine_by_nothing_changes_nothing():
    x = pictures(8, 28, 28)
    np.testing.assert_array_equal(warp(x, make_keys(8), degrees=0.0, zoom=0.0, shift=0.0), x)


def test_affine_draws_are_independent_and_cover_their_range():
    keys = make_keys(2000)
    drawn = np.stack([integers(keys, draw, 256).numpy() for draw in (2, 3, 4, 5)])
    assert drawn.min() == 0
    assert drawn.max() == 255
    assert np.abs(np.corrcoef(drawn) - np.eye(4)).max() < 0.1
