"""The signature of networks without labels: features and their directions, by hand."""

import types

import numpy as np
import tensorflow as tf

from trainers.serving import image_features
from zoo.spec import Field


def test_direction_has_length_one_and_points_as_the_features_do():
    prepared = types.SimpleNamespace(
        raw={"image": Field((2, 2, 1), "uint8")},
        preprocess=lambda raw: {"image": tf.cast(raw["image"], tf.float32)},
    )

    def encode(inputs):
        return tf.reshape(inputs["image"], [-1, 4])

    made = image_features.signatures(encode, prepared)
    image = np.array([3, 0, 0, 4, 0, 5, 12, 0], np.uint8).reshape(2, 2, 2, 1)
    answer = made["serving_default"].function(image=tf.constant(image))
    np.testing.assert_array_equal(answer["features"], [[3, 0, 0, 4], [0, 5, 12, 0]])
    expected = [[0.6, 0, 0, 0.8], [0, 5 / 13, 12 / 13, 0]]
    np.testing.assert_allclose(answer["direction"], expected, rtol=1e-6)
    assert made["serving_default"].fields == prepared.raw
