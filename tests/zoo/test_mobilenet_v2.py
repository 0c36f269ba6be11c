"""MobileNetV2 where it differs from TensorFlow's way; test_efficientnet_lite.py has the rest."""

import keras
import numpy as np
import pytest

import zoo
from zoo import mobilenet_v2
from zoo.spec import DataSpec, Field


@pytest.mark.parametrize(("strides", "seen"), [(1, [0, 1]), (2, [0])])
def test_the_first_window_begins_one_pixel_outside(strides, seen):
    """A light at the corner is seen by the windows of PyTorch's padding, where TensorFlow's has
    none above: with stride 2 the window at 0 covers pixels -1 to 1, and not 0 to 2.
    """
    inputs = keras.Input((8, 8, 1))
    x, padding = mobilenet_v2.padded(inputs, strides, "conv")
    ones = keras.layers.Conv2D(1, 3, strides, padding, kernel_initializer="ones")
    model = keras.Model(inputs, ones(x))
    image = np.zeros((1, 8, 8, 1), np.float32)
    image[0, 0, 0] = 1.0
    assert np.flatnonzero(model(image)[0, :, 0, 0]).tolist() == seen
    image[0, 0, 0], image[0, 2, 2] = 0.0, 1.0
    assert float(model(image)[0, 0, 0, 0]) == 0.0  # it would be seen without the padding above


def test_other_than_seven_stages_are_refused():
    spec = DataSpec({"image": Field((32, 32, 3), "float32")}, "classification", 5)
    with pytest.raises(ValueError, match="7 stages, received"):
        zoo.get("mobilenet_v2").build(spec, depths=(1, 1))
