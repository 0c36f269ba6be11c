"""Private code of Keras: what is still wrong (a failure means fixed: remove the patch).

The names of the first group say which patch goes once they fail.
"""

import importlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.test_replicas import dropout_masks
from trainers.devices import keras_patches
from trainers.devices.strategy import choose


def mirrored_model(**compile_options) -> keras.Model:
    strategy = choose(2)
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
        with choose(replicas).scope():
            inputs = keras.Input((4,))
            model = keras.Model(inputs, keras.layers.Dense(1, name="logits")(inputs))
            model.compile(keras.optimizers.SGD(0.1, global_clipnorm=0.01), "mse")
        model.fit(data_of(4, 4), epochs=1, verbose=0, shuffle=False)
        weights.append(np.asarray(model.get_layer("logits").kernel.numpy()))
    assert np.abs(weights[0] - weights[1]).max() > 1e-5


def test_averages_still_begin_with_the_weights_of_the_first_step():
    variable = keras.Variable([0.0])
    optimizer = keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.75)
    for _ in range(2):
        optimizer.apply([tf.constant([-1.0])], [variable])  # 1, then 2
    [average] = keras_patches.averages_of(optimizer)
    np.testing.assert_allclose(average.numpy(), [1.25])  # not (0.75 * 1 + 2) / 1.75


def test_variables_of_adafactor_are_still_called_alike():
    _, optimizer = built(keras.optimizers.Adafactor(0.1))
    before = [variable.path for variable in optimizer.variables]
    assert len(set(before)) < len(before)
    keras_patches.number_duplicate_paths(optimizer)
    assert len({variable.path for variable in optimizer.variables}) == len(before)


def test_masks_are_still_equal_on_all_replicas():
    first, second = dropout_masks(differing=False)
    np.testing.assert_array_equal(first, second)


def test_statistics_of_a_batch_are_still_those_of_a_replica_s_share():
    moved = []
    for replicas in (1, 2):
        with choose(replicas).scope():
            inputs = keras.Input((4,))
            normal = keras.layers.BatchNormalization(momentum=0.0)
            model = keras.Model(inputs, keras.layers.Dense(1)(normal(inputs)))
            model.compile("sgd", "mse")
        model.fit(data_of(4, 4), epochs=1, verbose=0, shuffle=False)
        moved.append(np.asarray(normal.moving_variance.numpy()))
    assert np.abs(moved[0] - moved[1]).max() > 0.01


def test_rows_of_embeddings_are_still_measured_one_by_one():
    """Three and four in the same place are seven; clipped to a norm of one, they are one."""
    rows = tf.IndexedSlices(tf.constant([[3.0], [4.0]]), tf.constant([0, 0]), tf.constant([2, 1]))
    (clipped,) = keras.optimizers.SGD(global_clipnorm=1.0)._clip_gradients([rows])
    assert float(tf.convert_to_tensor(clipped)[0, 0]) == pytest.approx(1.4)


def built(optimizer: keras.optimizers.Optimizer) -> tuple[keras.Model, keras.optimizers.Optimizer]:
    inputs = keras.Input((4,))
    x = keras.layers.Dropout(0.5, name="dropout")(keras.layers.Dense(3, name="dense")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(1, name="logits")(x))
    optimizer.build(model.trainable_variables)
    return model, optimizer


def test_untried_versions_of_keras_are_refused_on_import(monkeypatch):
    keras_patches.check_version("3.15.9")
    with pytest.raises(RuntimeError, match=r"tried with Keras 3\.15 and 3\.16, received 4\.0\.0"):
        keras_patches.check_version("4.0.0")
    monkeypatch.setattr(keras, "__version__", "4.0.0")
    try:
        with pytest.raises(RuntimeError, match="received 4"):
            importlib.reload(keras_patches)
    finally:
        monkeypatch.undo()
        importlib.reload(keras_patches)


def test_summed_gradients_would_still_be_summed_again():
    """Fails once `apply` no longer sums: then `without_own_sum` can go."""
    weights = []
    for patched in (False, True):
        strategy = choose(2)
        with strategy.scope():
            variable = keras.Variable([0.0], name="variable")
            optimizer = keras.optimizers.SGD(1.0)
            optimizer.build([variable])
            if patched:
                keras_patches.without_own_sum(optimizer)
        step = tf.function(
            lambda optimizer=optimizer, variable=variable: optimizer.apply(
                [tf.constant([1.0])], [variable]
            )
        )
        strategy.run(step)
        weights.append(float(np.asarray(variable.numpy())[0]))
    assert weights == [-2.0, -1.0]


def test_layers_within_layers_are_found():
    model, _ = built(keras.optimizers.SGD(0.1))
    names = {layer.name for layer in keras_patches.layers_of(keras.Sequential([model]))}
    assert {"dense", "dropout", "logits", model.name} <= names


def test_variables_of_optimizers_are_found():
    schedule = keras.optimizers.schedules.CosineDecay(0.5, 10)
    model, optimizer = built(keras.optimizers.Adagrad(schedule, use_ema=True, ema_momentum=0.5))
    variables = model.trainable_variables
    assert keras_patches.schedule_of(optimizer) is schedule
    assert [v.path for v in keras_patches.variables_of(optimizer)] == [v.path for v in variables]
    assert [keras_patches.index_of(optimizer, v) for v in variables] == [0, 1, 2, 3]
    for found in (keras_patches.averages_of(optimizer), keras_patches.accumulators_of(optimizer)):
        assert [tuple(v.shape) for v in found] == [tuple(v.shape) for v in variables]


def test_variable_within_is_not_cast():
    variable = keras.Variable([1.0], name="variable")
    assert keras_patches.variable_in(variable).dtype == tf.float32
    assert isinstance(keras_patches.variable_in(variable), tf.Variable)
