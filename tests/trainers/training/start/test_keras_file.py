"""Initial weights from a .keras file."""

import keras
import numpy as np
import pytest

from tests.conftest import fake_pipeline, made_pipeline
from trainers.config.settings import resolve
from trainers.errors import ArtefactError
from trainers.training.start import keras_file

SETTINGS = resolve("linear", {})


@pytest.fixture
def path(tmp_path):
    inputs = keras.Input((2,))
    keras.Model(inputs, keras.layers.Dense(3, name="logits")(inputs)).save(tmp_path / "a.keras")
    return tmp_path / "a.keras"


def test_weights_come_by_path(path, caplog):
    weights = keras_file.weights(path, SETTINGS, made_pipeline("binary"))
    assert {name: np.shape(value) for name, value in weights.items()} == {
        "logits/kernel": (2, 3),
        "logits/bias": (3,),
    }
    assert not caplog.text  # there is nothing that was fitted


def test_weights_without_their_statistics_are_a_warning(path, caplog):
    keras_file.weights(path, SETTINGS, fake_pipeline("breast_cancer"))
    assert "holds weights alone" in caplog.text


def test_weights_of_another_file_are_refused(tmp_path):
    (tmp_path / "b.keras").write_text("")
    with pytest.raises(ArtefactError, match="is refused"):
        keras_file.weights(tmp_path / "b.keras", SETTINGS, made_pipeline("binary"))
