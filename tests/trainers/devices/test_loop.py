"""Calls that take exactly the steps that they should."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.small_models import compiled_model
from trainers.devices import loop
from trainers.devices.strategy import choose


def counting_model(replicas: int = 1, **changes):
    with choose(replicas).scope():
        inputs = keras.Input((2,))
        outputs = keras.layers.Dense(1, name="dense")(inputs)
        return compiled_model(inputs, outputs, keras.losses.MeanSquaredError(), **changes)


def endless() -> tf.data.Dataset:
    batch = np.ones((8, 2), np.float32), np.ones((8, 1), np.float32), np.ones(8, np.float32)
    return tf.data.Dataset.from_tensors(batch).repeat()


@pytest.mark.parametrize(
    ("position", "per_call", "per_pass", "skip", "expected"),
    [(0, 4, 10, 0, 4), (8, 4, 10, 0, 2), (0, 4, 10, 6, 0), (4, 4, 10, 6, 2), (8, 4, 10, 6, 2)],
)
def test_steps_of_a_call_by_hand(position, per_call, per_pass, skip, expected):
    assert loop.steps_to_take(position, per_call, per_pass, skip) == expected


@pytest.mark.parametrize("replicas", [1, 2])
def test_fit_takes_the_steps_of_its_epochs_without_those_that_are_skipped(replicas):
    model = counting_model(replicas, steps_per_execution=4)
    loop.count_steps(model, choose(replicas), steps=10, validation_steps=3, skip=5)
    model.fit(
        endless(),
        epochs=2,
        steps_per_epoch=10,
        validation_data=endless(),
        validation_steps=3,
        shuffle=False,
        verbose=0,
    )
    assert int(model.optimizer.iterations.numpy()) == 15
    weights = float(np.asarray(model.metrics[0].count.numpy()))
    assert weights == 3 * 8  # of the last validation


def test_step_compiled_by_xla_is_the_same_step():
    """As a GPU takes it; a CPU can as well."""
    kernels = []
    for compiled in (False, True):
        keras.utils.set_random_seed(0)
        model = counting_model(optimizer="adam", clip_norm=0.1, ema=0.9)
        model.jit_compile = compiled
        model.steps_per_execution = 3
        loop.count_steps(model, choose(1), steps=3, validation_steps=1)
        model.train_function(iter(endless()))
        kernels.append(model.trainable_variables[0].numpy())
    np.testing.assert_allclose(kernels[0], kernels[1], rtol=1e-5)


def test_loop_does_not_read_the_flag_between_two_steps():
    """Its condition is the count alone, so that the next step is queued before the last is done."""
    model = counting_model(steps_per_execution=2)
    conditions = []
    original = tf.while_loop

    def recorded(condition, body, variables):
        conditions.append(condition)
        return original(condition, body, variables)

    tf.while_loop = recorded
    try:
        loop.count_steps(model, choose(1), steps=2, validation_steps=1)
        model.train_function(iter(endless()))
    finally:
        tf.while_loop = original
    graph = tf.function(conditions[0]).get_concrete_function(tf.TensorSpec((), tf.int32)).graph
    assert {op.type for op in graph.get_operations()} <= {
        "Placeholder",
        "Less",
        "Identity",
        "NoOp",
        "Const",
    }
