"""Ways to make squares, against slices, padding and Pillow."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipelines import DataError
from pipelines.steps import image, resizing


def picture(height: int, width: int, dtype=np.uint8) -> np.ndarray:
    """Smooth colours: what resizing makes of them differs little from one filter to another."""
    down, right = np.mgrid[0:height, 0:width].astype(float)
    waves = [np.sin(down / 9), np.cos(right / 7), np.sin((down + right) / 11)]
    top = np.iinfo(dtype).max
    return np.round((np.stack(waves, -1) * 0.45 + 0.5) * top).astype(dtype)


def square(pixels: np.ndarray, size: int, policy: str) -> np.ndarray:
    return resizing.square(tf.constant(pixels), size, policy).numpy()


@pytest.mark.parametrize(("height", "width"), [(40, 90), (90, 40), (41, 41)])
def test_crop_is_the_square_in_the_middle(height, width):
    pixels = picture(height, width)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = pixels[top : top + side, left : left + side]
    np.testing.assert_array_equal(square(pixels, side, "crop"), middle)
    expected = image.resize(tf.constant(middle), 16)
    np.testing.assert_array_equal(square(pixels, 16, "crop"), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    ("height", "width", "inner"),
    [(40, 80, (12, 24)), (80, 40, (24, 12)), (30, 30, (24, 24)), (1, 300, (1, 24))],
)
def test_pad_keeps_the_whole_picture_between_black_bars(height, width, inner, dtype):
    pixels = picture(height, width, dtype)
    found = square(pixels, 24, "pad")
    assert found.shape == (24, 24, 3)
    assert found.dtype == dtype
    top, left = (24 - inner[0]) // 2, (24 - inner[1]) // 2
    within = np.zeros((24, 24), bool)
    within[top : top + inner[0], left : left + inner[1]] = True
    assert (found[~within] == 0).all()
    if dtype == np.uint8 and height > 1:
        shown = Image.fromarray(pixels).resize(inner[::-1], Image.Resampling.BILINEAR)
        difference = found[within].reshape(*inner, 3) - np.asarray(shown, float)
        assert np.abs(difference).max() <= 2


def test_squash_is_what_it_always_was():
    pixels = picture(40, 90)
    expected = image.resize(tf.constant(pixels), 16)
    np.testing.assert_array_equal(square(pixels, 16, "squash"), expected)


@pytest.mark.parametrize("policy", resizing.POLICIES)
def test_square_of_a_batch_and_in_a_graph_of_any_size_is_that_of_each_picture(policy):
    pixels = np.stack([picture(37, 90), picture(37, 90)[:, ::-1]])
    graph = tf.function(lambda x: resizing.square(x, 16, policy), autograph=False)
    traced = graph.get_concrete_function(tf.TensorSpec((None, None, None, 3), tf.uint8))
    assert traced.structured_outputs.shape.as_list() == [None, 16, 16, 3]
    for i, one in enumerate(pixels):
        single = square(one, 16, policy)
        np.testing.assert_array_equal(traced(tf.constant(pixels))[i], single)
        np.testing.assert_array_equal(square(single, 16, policy), single)  # already square


def test_form_refuses_a_policy_that_there_is_not():
    with pytest.raises(DataError, match="resize=stretch: expected squash, crop, pad"):
        resizing.form(16, "stretch")
