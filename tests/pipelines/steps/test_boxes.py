"""Boxes of random area: their sides against NumPy, and by hand on small images."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines import DataError
from pipelines.core.keys import bits_numpy
from pipelines.steps import boxes
from tests.pipelines.steps.pictures import (
    assert_does_not_depend_on_the_batch,
    augmented,
    keys_of,
    pictures,
)


def drawn(name: str, draw: int, limit: int, index: int) -> int:
    [seed] = keys_of([0]).named(name).seed.numpy().ravel()
    return (int(bits_numpy(int(seed), 2, draw, np.array([index]))[0]) >> 32) * limit >> 32


def test_sides_have_the_area_and_the_shape_that_were_asked_for():
    sides = boxes.sides(200, 300, area=(0.08, 1.0), ratio=(3 / 4, 4 / 3))
    assert sides.shape == (1024, 2)
    assert (sides <= [200, 300]).all()
    area, shape = sides.prod(1) / 60_000, sides[:, 1] / sides[:, 0]
    assert 0.075 < area.min() < 0.09
    assert 0.74 < shape.min() < 0.76
    assert 1.32 < shape.max() < 1.35
    # Without boxes that do not fit: up to half of the area all do, and are alike.
    counts, _ = np.histogram(area[area < 0.48], bins=4, range=(0.08, 0.48))
    assert np.abs(counts - counts.mean()).max() < 4 * np.sqrt(counts.mean())
    logs = np.log(boxes.sides(200, 200, area=(0.02, 0.2), ratio=(0.3, 3.3)))
    assert abs((logs[:, 1] - logs[:, 0]).mean()) < 0.08  # as often wide as high


def test_sides_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match=r"no box of 0\.9 to 1 of the area fits into images of 1x9"):
        boxes.sides(1, 9, area=(0.9, 1.0), ratio=(0.9, 1.1))


def test_inside_is_the_box():
    found = boxes.inside(tf.constant([[1, 2, 2, 2], [0, 0, 0, 3]]), tf.zeros((2, 4, 4, 3))).numpy()
    expected = np.zeros((4, 4, 3), bool)
    expected[1:3, 2:4] = True
    np.testing.assert_array_equal(found, [expected, np.zeros((4, 4, 3), bool)])


def test_erase_fills_the_drawn_box_of_the_drawn_images():
    x = pictures(200, 4, 4)
    found = augmented(boxes.erase(0.25), x)
    table = boxes.sides(4, 4, area=(0.02, 0.33), ratio=(0.3, 3.3))
    erased = 0
    for i, (before, after) in enumerate(zip(x, found, strict=True)):
        expected = before.copy()
        if drawn("erase", 3, 2**16, 100 + i) < 2**14:
            high, wide = table[drawn("erase", 0, 1024, 100 + i)]
            top = drawn("erase", 1, 5 - int(high), 100 + i)
            left = drawn("erase", 2, 5 - int(wide), 100 + i)
            expected[top : top + high, left : left + wide] = 128
            erased += 1
        np.testing.assert_array_equal(after, expected)
    assert 30 < erased < 70


def test_resized_crop_enlarges_a_drawn_box():
    """An image whose values say where they are: what is seen is the box."""
    x = np.zeros((60, 32, 40, 3), np.uint8)
    x[..., 0] = 6 * np.arange(32)[:, None]
    x[..., 1] = 6 * np.arange(40)
    found = augmented(boxes.resized_crop(0.3), x).astype(float)
    sides = boxes.sides(32, 40, area=(0.3, 1.0), ratio=(3 / 4, 4 / 3))
    for i, picture in enumerate(found):
        high, wide = sides[drawn("resized_crop", 0, 1024, 100 + i)]
        top = drawn("resized_crop", 1, 33 - int(high), 100 + i)
        left = drawn("resized_crop", 2, 41 - int(wide), 100 + i)
        rows = top + (np.arange(32) + 0.5) * high / 32 - 0.5
        columns = left + (np.arange(40) + 0.5) * wide / 40 - 0.5
        expected = 6 * np.clip(rows, 0, 31), 6 * np.clip(columns, 0, 39)
        assert np.abs(picture[:, 0, 0] - expected[0]).max() < 0.51
        assert np.abs(picture[0, :, 1] - expected[1]).max() < 0.51


@pytest.mark.parametrize(
    "augment", [boxes.resized_crop(0.3), boxes.erase(0.5)], ids=["crop", "erase"]
)
def test_boxes_do_not_depend_on_the_batch(augment):
    assert_does_not_depend_on_the_batch(augment, pictures(20, 12, 10))


def test_erase_refuses_images_of_16_bits():
    with pytest.raises(DataError, match="erase takes images of 8 bits, received uint16"):
        boxes.erase(0.5)({"image": tf.zeros((2, 8, 8, 3), tf.uint16)}, None, keys_of([0, 1]))
