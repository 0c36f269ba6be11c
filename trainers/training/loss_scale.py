"""The scale of the loss under float16, whose gradients would vanish without it.

Keras's LossScaleOptimizer holds the scale; `TrainedModel.update` uses it, since it measures and
clips the gradients between unscaling and applying. Without float16 there is none: a scale of 1.
"""

import keras
import tensorflow as tf


def unwrapped(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The optimizer that updates the weights."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def is_scaled(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether the loss has a scale."""
    return unwrapped(optimizer) is not optimizer


def count_success(optimizer: keras.optimizers.Optimizer) -> None:
    """Doubles the scale after so many steps without an overflow (2000 unless it says otherwise)."""
    count = tf.convert_to_tensor(optimizer.step_counter) + 1
    full = tf.equal(count, optimizer.dynamic_growth_steps)
    scale = tf.convert_to_tensor(optimizer.dynamic_scale)
    optimizer.step_counter.assign(tf.where(full, tf.zeros_like(count), count))
    optimizer.dynamic_scale.assign(tf.where(full, scale * 2.0, scale))


def halve(optimizer: keras.optimizers.Optimizer, overflow: tf.Tensor) -> None:
    """Halves the scale and counts again, where `overflow`."""
    count = tf.convert_to_tensor(optimizer.step_counter)
    scale = tf.convert_to_tensor(optimizer.dynamic_scale)
    optimizer.step_counter.assign(tf.where(overflow, tf.zeros_like(count), count))
    optimizer.dynamic_scale.assign(tf.where(overflow, scale * 0.5, scale))
