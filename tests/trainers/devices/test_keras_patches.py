"""What Keras still gets wrong on several devices: a failure means mended, remove the cure."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.test_replicas import dropout_masks, strategy_of


def mirrored_model(**compile_options) -> keras.Model:
    strategy = strategy_of(2)
    with strategy.scope():
        inputs = keras.Input((4,))
        model = keras.Model(inputs, keras.layers.Dense(1, name="logits")(inputs))
        model.compile(**{"optimizer": "sgd", "loss": "mse", **compile_options})
    return model


def data_of(num_rows: int, batch_size: int) -> tf.data.Dataset:
    random = np.random.default_rng(0)
    x = random.normal(size=(num_rows, 4)).astype(np.float32)
    y = random.normal(size=(num_rows, 1)).astype(np.float32)
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(batch_size)


def test_first_batch_must_still_divide_evenly():
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError)):
        mirrored_model().fit(data_of(5, 5), epochs=1, verbose=0, shuffle=False)


def test_several_steps_per_execution_still_fail():
    model = mirrored_model(steps_per_execution=2)
    with pytest.raises((TypeError, ValueError, RuntimeError, tf.errors.OpError)):
        model.fit(data_of(16, 4), epochs=1, verbose=0, shuffle=False)


def test_clipping_still_comes_before_the_sum():
    weights = []
    for replicas in (1, 2):
        keras.utils.set_random_seed(0)
        with strategy_of(replicas).scope():
            inputs = keras.Input((4,))
            model = keras.Model(inputs, keras.layers.Dense(1, name="logits")(inputs))
            model.compile(keras.optimizers.SGD(0.1, global_clipnorm=0.01), "mse")
        model.fit(data_of(4, 4), epochs=1, verbose=0, shuffle=False)
        weights.append(np.asarray(model.get_layer("logits").kernel.numpy()))
    assert np.abs(weights[0] - weights[1]).max() > 1e-5


def test_masks_are_still_equal_on_all_replicas():
    first, second = dropout_masks(cured=False)
    np.testing.assert_array_equal(first, second)


def test_rows_of_embeddings_are_still_measured_one_by_one():
    """Three and four in the same place are seven; clipped to a norm of one, they are one."""
    rows = tf.IndexedSlices(tf.constant([[3.0], [4.0]]), tf.constant([0, 0]), tf.constant([2, 1]))
    (clipped,) = keras.optimizers.SGD(global_clipnorm=1.0)._clip_gradients([rows])
    assert float(tf.convert_to_tensor(clipped)[0, 0]) == pytest.approx(1.4)
