"""Changes of colour by hand on 4x4 pixels, and bit by bit against Pillow."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import ImageEnhance, ImageOps

from pipelines import DataError
from pipelines.core.keys import integers
from pipelines.steps import colour
from tests.pipelines.steps.pictures import (
    assert_does_not_depend_on_the_batch,
    augmented,
    each,
    graph,
    keys_of,
    pictures,
    pillow,
)

SIZES = [(32, 32, 3), (28, 28, 1), (17, 40, 3), (4, 4, 3), (2, 5, 3)]
BLENDS = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
    "sharpness": ImageEnhance.Sharpness,
}
RAMP = np.arange(0, 160, 10, dtype=np.uint8).reshape(1, 4, 4, 1)  # 0, 10, ... 150


def of_ramp(function, *numbers) -> list[int]:
    numbers = [tf.constant([number], dtype) for number, dtype in numbers]
    return function(tf.constant(RAMP), *numbers).numpy().ravel().tolist()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_blends_equal_pillow_bit_by_bit(size):
    x = pictures(62, *size)
    factor = np.concatenate([np.linspace(0.01, 1.99, 59), [0.0, 1.0, -0.5]]).astype(np.float32)
    for name, enhance in BLENDS.items():
        found = graph(getattr(colour, name), x, factor)
        expected = each(lambda p, f, of=enhance: of(p).enhance(float(f)), x, factor)
        np.testing.assert_array_equal(found, expected, err_msg=name)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_changes_by_whole_numbers_equal_pillow_bit_by_bit(size):
    x = pictures(60, *size)
    np.testing.assert_array_equal(graph(colour.autocontrast, x), each(ImageOps.autocontrast, x))
    np.testing.assert_array_equal(graph(colour.equalize, x), each(ImageOps.equalize, x))
    bits = np.arange(60) % 8 + 1
    found = graph(colour.posterize, x, (256 - 2 ** (8 - bits)).astype(np.uint8))
    np.testing.assert_array_equal(found, each(lambda p, b: ImageOps.posterize(p, int(b)), x, bits))
    threshold = np.append(np.arange(59) * 4, 255)
    found = graph(colour.solarize, x, threshold.astype(np.uint8))
    np.testing.assert_array_equal(
        found, each(lambda p, t: ImageOps.solarize(p, int(t)), x, threshold)
    )


def test_brightness_of_a_half_cuts_off():
    expected = [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75]
    assert of_ramp(colour.brightness, (0.5, tf.float32)) == expected
    assert of_ramp(colour.brightness, (0.33, tf.float32))[:4] == [0, 3, 6, 9]  # 3.3, 6.6, 9.9
    assert of_ramp(colour.brightness, (1.99, tf.float32))[12:] == [238, 255, 255, 255]


def test_contrast_is_about_the_rounded_mean():
    assert of_ramp(colour.contrast, (0.0, tf.float32)) == [75] * 16  # 1200 / 16
    assert of_ramp(colour.contrast, (0.5, tf.float32))[:3] == [37, 42, 47]  # 37.5, 42.5, 47.5
    one = np.full((1, 1, 2, 1), 3, np.uint8)
    one[0, 0, 1] = 4  # a mean of 3.5 is 4
    assert colour.contrast(one, tf.constant([0.0])).numpy().ravel().tolist() == [4, 4]


def test_saturation_of_nothing_is_grey():
    red = np.array([[[[255, 0, 0]]]], np.uint8)
    grey = (255 * 19595 + 2**15) >> 16  # 76
    assert colour.saturation(red, tf.constant([0.0])).numpy().ravel().tolist() == [grey] * 3
    assert of_ramp(colour.saturation, (0.3, tf.float32)) == RAMP.ravel().tolist()


def test_sharpness_smooths_inner_pixels_alone():
    x = np.zeros((1, 4, 4, 1), np.uint8)
    x[0, 1, 1] = 130
    expected = np.zeros((4, 4))
    expected[1:3, 1:3] = [[50, 10], [10, 10]]  # five thirteenths, one thirteenth
    np.testing.assert_array_equal(
        colour.sharpness(x, tf.constant([0.0]))[0, :, :, 0], np.maximum(expected, 0)
    )


def test_posterize_and_solarize_by_hand():
    kept = [0, 0, 0, 0, 0, 0, 0, 64, 64, 64, 64, 64, 64, 128, 128, 128]
    assert of_ramp(colour.posterize, (0b11000000, tf.uint8)) == kept
    turned = of_ramp(colour.solarize, (100, tf.uint8))
    assert turned == [*range(0, 100, 10), 155, 145, 135, 125, 115, 105]


def test_autocontrast_stretches_each_channel():
    assert of_ramp(colour.autocontrast) == [17 * i for i in range(16)]
    flat = np.full((1, 4, 4, 1), 9, np.uint8)
    np.testing.assert_array_equal(colour.autocontrast(flat), flat)


def test_equalize_by_whole_steps():
    # 1024 pixels: 0 to 254 once each, and 769 of 255. One step is (1024 - 769) // 255 = 1.
    values = np.concatenate([np.arange(255), np.full(769, 255)]).astype(np.uint8)
    found = colour.equalize(values.reshape(1, 32, 32, 1)).numpy().ravel()
    np.testing.assert_array_equal(found, values)
    few = np.where(np.arange(1024) < 600, 40, 50).astype(np.uint8).reshape(1, 32, 32, 1)
    # A step is 600 // 255 = 2: 40 becomes 1 // 2, and 50 becomes 601 // 2, cut to 255.
    assert np.unique(colour.equalize(few)).tolist() == [0, 255]


@pytest.mark.parametrize("name", ["autocontrast", "equalize", "sharpness"])
def test_no_images_stay_no_images(name):
    numbers = [tf.zeros(0)] if name == "sharpness" else []
    assert graph(getattr(colour, name), np.zeros((0, 8, 8, 3), np.uint8), *numbers).shape[0] == 0


def test_jitter_is_three_blends_of_pillow():
    x = pictures(40, 12, 10)
    found = augmented(colour.jitter(0.4), x)
    drawn = [integers(keys_of(range(100, 140)).named("jitter"), i, 256).numpy() for i in range(3)]
    factors = np.linspace(0.6, 1.4, 256).astype(np.float32)
    for picture, after, numbers in zip(x, found, np.transpose(drawn), strict=True):
        expected = pillow(picture)
        for name, number in zip(("brightness", "contrast", "saturation"), numbers, strict=True):
            expected = BLENDS[name](expected).enhance(float(factors[number]))
        np.testing.assert_array_equal(after, expected)


def test_jitter_does_not_depend_on_the_batch():
    assert_does_not_depend_on_the_batch(colour.jitter(0.4), pictures(20, 8, 9))


@pytest.mark.parametrize(("dtype", "channels"), [(tf.uint16, 3), (tf.uint8, 4)])
def test_jitter_refuses_other_images(dtype, channels):
    x = tf.zeros((2, 8, 8, channels), dtype)
    with pytest.raises(DataError, match="jitter takes images of 8 bits with 1 or 3 channels"):
        colour.jitter(0.4)({"image": x}, None, keys_of([0, 1]))
