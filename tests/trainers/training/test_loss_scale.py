"""The scale of the loss: counted, doubled and halved."""

import keras
import tensorflow as tf

from trainers.training import loss_scale


def scaled_optimizer(growth: int = 3) -> keras.optimizers.LossScaleOptimizer:
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1), initial_scale=8.0, dynamic_growth_steps=growth
    )
    optimizer.build([keras.Variable([1.0])])
    return optimizer


def test_scale_doubles_after_its_steps_without_an_overflow():
    optimizer = scaled_optimizer()
    scales = []
    for _ in range(7):
        loss_scale.count_success(optimizer)
        scales.append(float(optimizer.dynamic_scale.numpy()))
    assert scales == [8, 8, 16, 16, 16, 32, 32]


def test_overflow_halves_the_scale_and_counts_anew():
    optimizer = scaled_optimizer()
    loss_scale.count_success(optimizer)
    loss_scale.halve(optimizer, tf.constant(False))
    assert (float(optimizer.dynamic_scale.numpy()), int(optimizer.step_counter.numpy())) == (8, 1)
    loss_scale.halve(optimizer, tf.constant(True))
    assert (float(optimizer.dynamic_scale.numpy()), int(optimizer.step_counter.numpy())) == (4, 0)


def test_optimizer_that_updates_is_found_within():
    optimizer, plain = scaled_optimizer(), keras.optimizers.SGD(0.1)
    assert loss_scale.is_scaled(optimizer)
    assert loss_scale.unwrapped(optimizer) is optimizer.inner_optimizer
    assert not loss_scale.is_scaled(plain)
    assert loss_scale.unwrapped(plain) is plain
