"""Maps by hand on 4x4 pixels, and against Pillow."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipelines.steps import geometry
from pipelines.steps.geometry import fixed
from tests.pipelines.steps.pictures import array, graph, pictures, pillow

# 1 2 3 4 / 5 6 7 8 / 9 10 11 12 / 13 14 15 16
NUMBERED = np.arange(1, 17, dtype=np.uint8).reshape(1, 4, 4, 1)
SIZES = [(32, 32, 3), (28, 28, 1), (17, 40, 3)]


def warped(numbers, x=NUMBERED) -> np.ndarray:
    return geometry.warp(tf.constant(x), fixed(numbers)[None]).numpy()[0, :, :, 0]


def test_translations_move_by_whole_pixels():
    right = [[0, 1, 2, 3], [0, 5, 6, 7], [0, 9, 10, 11], [0, 13, 14, 15]]
    assert warped(geometry.translate_x(1.9)).tolist() == right
    up = [[9, 10, 11, 12], [13, 14, 15, 16], [0] * 4, [0] * 4]
    assert warped(geometry.translate_y(-2.5)).tolist() == up


def test_shears_move_lines_and_columns():
    # Line y comes from y + 1/2 pixels to the right, rounded down: 1/2 moves by none yet.
    lines = [[2, 3, 4, 0], [7, 8, 0, 0], [12, 0, 0, 0], [0] * 4]
    assert warped(geometry.shear_x(1.0)).tolist() == lines
    columns = np.transpose(NUMBERED[0, :, :, 0])
    expected = warped(geometry.shear_x(1.0), columns[None, :, :, None]).T
    np.testing.assert_array_equal(warped(geometry.shear_y(1.0)), expected)


@pytest.mark.parametrize("quarters", [-1, 0, 1, 2, 3])
def test_quarters_of_a_turn_are_exact(quarters):
    expected = np.rot90(NUMBERED[0, :, :, 0], quarters)
    np.testing.assert_array_equal(warped(geometry.rotate(90.0 * quarters, 4, 4)), expected)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_single_maps_equal_pillow_s(size):
    """Every pixel of images of up to 64: the same numbers of 16 bits behind the point."""
    height, width, _ = size
    [x] = pictures(1, *size)
    for part in np.linspace(-1, 1, 61):
        maps = [
            geometry.shear_x(0.3 * part),
            geometry.shear_y(0.99 * part),
            geometry.translate_x(150 / 331 * width * part),
            geometry.translate_y(32 * part),
        ]
        expected = [
            pillow(x).transform((width, height), Image.Transform.AFFINE, numbers)
            for numbers in maps
        ]
        maps.append(geometry.rotate(135 * part, height, width))
        expected.append(pillow(x).rotate(135 * part))
        found = geometry.warp(np.stack([x] * 5), np.stack([fixed(m) for m in maps]))
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, array(other))


def test_maps_of_a_large_image_equal_pillow_s_but_for_a_ten_thousandth():
    [x] = pictures(1, 224, 224)
    parts = np.linspace(-1, 1, 21)
    found = graph(
        geometry.warp,
        np.stack([x] * 21),
        np.stack([fixed(geometry.rotate(30 * part, 224, 224)) for part in parts]),
    )
    expected = np.stack([array(pillow(x).rotate(30 * part)) for part in parts])
    assert (found != expected).any(axis=-1).mean() < 1e-4


def test_composed_maps_are_the_first_and_then_the_second():
    """Without a loss on the way: two shifts there and back lose nothing of the image."""
    there, back = (fixed(geometry.translate_x(size))[None] for size in (3, -3))
    both = geometry.composed(there, back)
    np.testing.assert_array_equal(geometry.warp(NUMBERED, both), NUMBERED)
    chained = geometry.warp(geometry.warp(NUMBERED, there), back)
    assert (chained.numpy() == 0).sum() == 12  # as a chain of two would
    first, second = geometry.translate_x(1), geometry.rotate(90, 4, 4)
    found = geometry.warp(NUMBERED, geometry.composed(fixed(first)[None], fixed(second)[None]))
    expected = np.rot90(warped(first))
    np.testing.assert_array_equal(found[0, :, :, 0], expected)


def test_zoom_of_a_box_interpolates_between_the_middles_of_pixels():
    x = np.array([[0, 80, 1, 1], [0, 80, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]], np.uint8)
    found = geometry.zoom(x[None, :, :, None], tf.constant([[0, 0, 2, 2]]))
    # Middles at -1/4, 1/4, 3/4 and 5/4: the first is beyond the edge; the last a quarter to the 1.
    assert found[0, 0, :, 0].numpy().tolist() == [0, 20, 60, 60]
    np.testing.assert_array_equal(found[0, :2], found[0, :1].numpy().repeat(2, axis=0))


def test_zoom_of_the_whole_changes_nothing():
    for x in (pictures(5, 9, 13), pictures(5, 9, 13).astype(np.uint16) * 200):
        boxes = tf.constant([[0, 0, 9, 13]] * 5)
        np.testing.assert_array_equal(geometry.zoom(x, boxes), x)


def test_zoom_equals_pillow_but_at_the_edges_of_the_box():
    """Pillow cuts the box out first, and does not see what is beside it."""
    random = np.random.default_rng(3)
    [x] = pictures(1, 40, 30)
    for _ in range(5):
        high, wide = random.integers(8, 31, 2)
        top, left = random.integers(0, 41 - high), random.integers(0, 31 - wide)
        found = geometry.zoom(x[None], tf.constant([[top, left, high, wide]]))[0].numpy()
        part = pillow(x).crop((left, top, left + wide, top + high))
        expected = array(part.resize((30, 40), Image.Resampling.BILINEAR))
        inner = (slice(3, -3), slice(3, -3))
        assert np.abs(found[inner].astype(int) - expected[inner]).max() <= 1
