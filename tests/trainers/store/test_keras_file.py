"""Weights of a .keras file; what hostile files hold is in tests/security/test_keras_files.py."""

import keras
import numpy as np
import pytest

from trainers.errors import ArtefactError
from trainers.store import keras_file


def test_load_returns_weights_by_path(tmp_path):
    inputs = keras.Input((3,))
    outputs = keras.layers.Dense(2, name="logits")(
        keras.layers.BatchNormalization(name="bn")(inputs)
    )
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "a.keras")
    weights = keras_file.load(tmp_path / "a.keras")
    assert weights.keys() == {variable.path for variable in model.weights}
    for variable in model.weights:
        np.testing.assert_array_equal(weights[variable.path], variable.numpy())


@pytest.mark.parametrize("name", ["a.h5", "nothing.keras"])
def test_load_refuses_other_files(name, tmp_path):
    (tmp_path / "a.h5").touch()
    with pytest.raises(ArtefactError, match=r"\.keras"):
        keras_file.load(tmp_path / name)
