"""Averages are put into the model for validation, and the trained weights back to the bit."""

import keras
import numpy as np
import pytest

from tests.small_models import compiled_model, run_steps
from trainers.training.callbacks.averages import AveragedWeights, averages, warn_if_short


def model_of(**changes):
    inputs = keras.Input((2,))
    outputs = keras.layers.Dense(1, name="dense")(inputs)
    return compiled_model(inputs, outputs, keras.losses.MeanSquaredError(), **changes)


def batch_of(seed: int):
    random = np.random.default_rng(seed)
    x = random.normal(size=(8, 2)).astype(np.float32)
    return x, x[:, :1], np.ones(8, np.float32)


def test_average_is_that_of_the_weights_by_hand():
    """Those of before the first step have no part in it, however long it is."""
    model, kernels = model_of(ema=0.75), []
    for seed in range(3):
        run_steps(model, [batch_of(seed)])
        kernels.append(model.trainable_variables[0].numpy())
    expected = np.average(kernels, axis=0, weights=[0.75**2, 0.75, 1.0])
    variable, average = averages(model)["dense/kernel"]
    assert variable is model.trainable_variables[0]
    np.testing.assert_allclose(average.numpy(), expected, rtol=1e-6)
    assert averages(model_of()) == {}


def test_validation_sees_averages_and_training_goes_on_with_the_weights():
    model = model_of(ema=0.75)
    run_steps(model, [batch_of(0), batch_of(1)])
    trained = [variable.numpy() for variable in model.trainable_variables]
    callback = AveragedWeights()
    callback.set_model(model)
    callback.on_test_begin()
    for variable, average in averages(model).values():
        np.testing.assert_array_equal(variable.numpy(), average.numpy())
    assert (model.trainable_variables[0].numpy() != trained[0]).any()
    callback.on_test_end()
    for variable, before in zip(model.trainable_variables, trained, strict=True):
        assert variable.numpy().tobytes() == before.tobytes()


@pytest.mark.parametrize(
    ("decay", "steps", "said"),
    [
        (0.999, 429, "--ema=0.99 would be"),
        (0.999, 2000, "--ema=0.998 would be"),
        (0.9999, 20_000, "--ema=0.9998 would be"),
        (0.999, 4290, ""),
        (0.5, 2, "=0.1 "),
        (0.0, 1, ""),
    ],
)
def test_a_run_too_short_for_its_averages_is_warned_of(decay, steps, said, caplog):
    warn_if_short(decay, steps)
    assert said in caplog.text
    assert bool(said) == bool(caplog.text)
