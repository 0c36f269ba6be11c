"""The features of a network, by hand."""

import types

import keras
import numpy as np
import pytest

from trainers.training import features


def network(shape: tuple[int, ...]) -> keras.Model:
    inputs = keras.Input(shape)
    return keras.Model(inputs, keras.layers.Identity(name="middle")(inputs))


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 4, 3)])
def test_places_of_an_image_and_positions_of_a_text_are_averaged(shape):
    model = network(shape)
    made = keras.Model(model.input, features.of(model, types.SimpleNamespace(features="middle")))
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    np.testing.assert_allclose(made(x), x.reshape(2, -1, 3).mean(axis=1), rtol=1e-5, atol=1e-6)


def test_network_that_names_none_is_refused():
    with pytest.raises(ValueError, match="names no layer of features"):
        features.of(network((3,)), types.SimpleNamespace(features=""))
