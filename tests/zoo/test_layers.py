"""Shared layers by value."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.layers import Bias, attention, gather, local_response, positions_of, rotate


def test_rotary_products_depend_on_the_distance_alone():
    """And each pair of numbers is rotated by its own angle, by hand."""
    random = np.random.default_rng(0)
    one, other = random.normal(size=(2, 8)).astype(np.float32)
    query, key = (np.tile(v, (1, 1, 9, 1)) for v in (one, other))
    products = np.einsum("bhqd,bhkd->qk", rotate(query), rotate(key))
    for distance in range(-8, 9):
        diagonal = np.diagonal(products, distance)
        np.testing.assert_allclose(diagonal, diagonal[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(products[0, 0], one @ other, rtol=1e-5)
    rotated = keras.ops.convert_to_numpy(rotate(query))[0, 0]
    for i, frequency in enumerate(1 / 10_000 ** (np.arange(4) / 4)):
        # Numbers i and i + 4 as one complex number, rotated by position times frequency.
        expected = (one[i] + 1j * one[i + 4]) * np.exp(1j * frequency * np.arange(9))
        np.testing.assert_allclose(rotated[:, i], expected.real, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(rotated[:, i + 4], expected.imag, rtol=1e-4, atol=1e-5)


def test_gather_takes_each_rows_own_positions_in_a_model_of_any_length():
    x, positions = keras.Input((None, 3)), keras.Input((None,), dtype="int32")
    model = keras.Model([x, positions], gather(x, positions))
    for rows, length in ((4, 7), (2, 3)):
        values = np.random.default_rng(1).normal(size=(rows, length, 3)).astype(np.float32)
        index = np.random.default_rng(2).integers(0, length, (rows, 5)).astype(np.int32)
        expected = np.take_along_axis(values, index[..., None], 1)
        np.testing.assert_array_equal(model([values, index]), expected)


def test_positions_count_from_zero():
    tokens = np.ones((3, 5), np.int32)
    np.testing.assert_array_equal(positions_of(tokens), np.arange(5)[None])


def test_bias_is_added_to_each_component():
    layer = Bias()
    layer.build((None, 3))
    layer.bias.assign([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(layer(np.ones((2, 4, 3))), np.full((2, 4, 3), [2.0, 3.0, 4.0]))


@pytest.mark.parametrize("channels", [1, 4, 7, 96])
def test_local_response_is_that_of_tensorflow(channels):
    x = np.random.default_rng(3).normal(scale=50, size=(2, 3, 4, channels)).astype(np.float32)
    expected = tf.nn.local_response_normalization(x, 2, bias=2.0, alpha=1e-4, beta=0.75)
    np.testing.assert_allclose(local_response(x), expected, rtol=1e-4, atol=1e-5)


def test_attention_without_a_mask_is_that_of_nothing_masked():
    x, mask = keras.Input((5, 8)), keras.Input((5,), dtype="bool")
    sizes = {"num_heads": 2, "dropout": 0.0, "name": "a"}
    masked = keras.Model([x, mask], attention(x, mask, **sizes))
    plain = keras.Model(x, attention(x, None, **sizes))
    plain.set_weights(masked.get_weights())
    values = np.random.default_rng(4).normal(size=(3, 5, 8)).astype(np.float32)
    np.testing.assert_array_equal(plain(values), masked([values, np.ones((3, 5), bool)]))
    bare = keras.Model(x, attention(x, None, **sizes, use_bias=False))
    assert [v.path for v in bare.weights if "bias" in v.path] == ["a_output/bias"]
