"""Functions of gradients that are dense tensors, or some rows of a table (tf.IndexedSlices)."""

import tensorflow as tf

Gradient = tf.Tensor | tf.IndexedSlices


def dense(gradient: Gradient) -> tf.Tensor:
    """The gradient as a dense tensor."""
    return tf.convert_to_tensor(gradient)


def values(gradient: Gradient) -> tf.Tensor:
    """The numbers of the dense tensor, or of the stored rows."""
    return gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient


def combined(gradient: Gradient) -> Gradient:
    """Sums repeated rows: an embedding's gradient has a row for each token, even if it repeats."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    index, segment = tf.unique(gradient.indices)
    rows = tf.math.unsorted_segment_sum(gradient.values, segment, tf.size(index))
    return tf.IndexedSlices(rows, index, gradient.dense_shape)


def scaled(gradient: Gradient, factor: tf.Tensor) -> Gradient:
    """The gradient times a number."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient * tf.cast(factor, gradient.dtype)
    rows = gradient.values * tf.cast(factor, gradient.dtype)
    return tf.IndexedSlices(rows, gradient.indices, gradient.dense_shape)


def added(one: Gradient, other: Gradient) -> Gradient:
    """The sum of two gradients; sparse if both are."""
    if not (isinstance(one, tf.IndexedSlices) and isinstance(other, tf.IndexedSlices)):
        return dense(one) + dense(other)
    rows = tf.concat([one.values, other.values], axis=0)
    indices = tf.concat([one.indices, other.indices], axis=0)
    return tf.IndexedSlices(rows, indices, one.dense_shape)


def half_square(gradient: Gradient) -> tf.Tensor:
    """Half the sum of squares in float32, in one pass; not finite if any number is not."""
    return tf.cast(tf.nn.l2_loss(values(gradient)), tf.float32)
