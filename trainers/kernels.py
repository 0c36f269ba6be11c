"""Faster TensorFlow kernels for layers that stay Keras's own.

Keras writes its layers in operations that every backend has, and on TensorFlow some of them are
slow. Here such a layer gets another `call`, which computes the same from the same variables. Its
class, its configuration and its saved files are untouched, and so is every other backend.
"""

import keras
import tensorflow as tf


def install(model: keras.Model) -> None:
    """Gives the layers of a built model the fastest kernels there are for them."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            _normalise(layer)


def _normalise(layer: keras.layers.BatchNormalization) -> None:
    """One pass over the batch for its statistics and one to apply them, where Keras takes ten."""
    slow = layer.call
    # cuDNN refuses a smaller epsilon; the kernel knows channels in the last of four dimensions.
    fits = layer.epsilon >= 1.001e-5 and layer.input_spec.ndim == 4 and layer.axis in (3, -1)
    if not fits or layer.renorm:
        return

    def call(inputs, training=None, mask=None):
        several = tf.distribute.get_strategy().num_replicas_in_sync > 1
        if mask is not None or several or inputs.dtype == tf.float64:
            return slow(inputs, training=training, mask=mask)
        mean, variance = (
            tf.convert_to_tensor(layer.moving_mean),
            tf.convert_to_tensor(layer.moving_variance),
        )
        learning = bool(training) and layer.trainable
        outputs, batch_mean, batch_variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(layer.gamma) if layer.scale else tf.ones_like(mean),
            offset=tf.convert_to_tensor(layer.beta) if layer.center else tf.zeros_like(mean),
            mean=tf.constant([]) if learning else mean,
            variance=tf.constant([]) if learning else variance,
            epsilon=layer.epsilon,
            is_training=learning,
        )
        if learning:
            # The kernel returns N / (N - 1) of the batch's variance; Keras keeps the variance.
            count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), tf.float32)
            batch_variance *= (count - 1.0) / count
            keep = layer.momentum
            layer.moving_mean.assign(mean * keep + batch_mean * (1.0 - keep))
            layer.moving_variance.assign(variance * keep + batch_variance * (1.0 - keep))
        return outputs

    layer.call = call
