"""Loss scaling under float16, without which small gradients would become zero.

Keras's LossScaleOptimizer holds the scale; `TrainedModel.update` uses it, since it measures and
clips the gradients between unscaling and applying. Without float16 the loss is not scaled.
"""

import keras
import tensorflow as tf


def unwrapped(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The optimizer that updates the weights."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def is_scaled(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether the loss is scaled."""
    return unwrapped(optimizer) is not optimizer


def count_success(optimizer: keras.optimizers.Optimizer) -> None:
    """Counts a step without overflow; `dynamic_growth_steps` of them (2000) double the scale."""
    count = tf.convert_to_tensor(optimizer.step_counter) + 1
    full = tf.equal(count, optimizer.dynamic_growth_steps)
    scale = tf.convert_to_tensor(optimizer.dynamic_scale)
    optimizer.step_counter.assign(tf.where(full, tf.zeros_like(count), count))
    optimizer.dynamic_scale.assign(tf.where(full, scale * 2.0, scale))


def halve(optimizer: keras.optimizers.Optimizer, overflow: tf.Tensor) -> None:
    """Halves the scale and restarts the count if `overflow`."""
    count = tf.convert_to_tensor(optimizer.step_counter)
    scale = tf.convert_to_tensor(optimizer.dynamic_scale)
    optimizer.step_counter.assign(tf.where(overflow, tf.zeros_like(count), count))
    optimizer.dynamic_scale.assign(tf.where(overflow, scale * 0.5, scale))
