"""What a task measures during and after training: Keras metrics that count only real examples."""

from collections.abc import Callable

import keras
import tensorflow as tf

from trainers.tasks.registry import Task

AUC_BUCKETS = 1024


def measures(task: Task, prepared) -> list[keras.metrics.Metric]:
    """The reported loss and the task's own metrics, new and all zero.

    The loss is the weighted mean over real examples, without smoothing and penalties. It replaces
    Keras's own `loss`, which also counts the examples that pad the last batch.
    """
    loss = task.loss(prepared)

    def per_element(target: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
        return loss(target, output)

    return [ElementMean(per_element, name="loss"), *task.metrics(prepared)]


class ElementMean(keras.metrics.Mean):
    """The weighted mean of a function of (y, output) over all elements of all batches.

    Keras takes the mean of each row first, so a token would weigh less in a batch of long texts.
    """

    def __init__(self, function: Callable, name: str):
        super().__init__(name=name)
        self._function = function

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch; the weights are (B,), or one for each element."""
        values = self._function(y_true, y_pred)
        if sample_weight is not None and len(sample_weight.shape) == len(values.shape) > 1:
            sample_weight = tf.broadcast_to(sample_weight, tf.shape(values))
            values, sample_weight = (tf.reshape(one, [-1]) for one in (values, sample_weight))
        super().update_state(values, sample_weight)


class F1(keras.metrics.F1Score):
    """F1 of logits, one column per label: over all labels together ("micro") or their mean."""

    def __init__(self, average: str):
        super().__init__(average=average, threshold=0.5, name="f1")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch: targets (B,) or (B, labels), logits (B, labels)."""
        y_true = tf.reshape(tf.cast(y_true, tf.float32), tf.shape(y_pred))
        super().update_state(y_true, tf.sigmoid(y_pred), sample_weight)


class AUC(keras.metrics.Metric):
    """The area under the ROC curve of logits (B, 1): how often class 1 is ranked above class 0.

    It is computed from counts in buckets of the logit; rows in the same bucket are ties and count
    half. Keras's AUC has 200 thresholds, evenly spaced in the probability: where a class is rare,
    most rows lie between two of them.
    """

    def __init__(self):
        super().__init__(name="auc")
        self.negative = self.add_variable((AUC_BUCKETS,), "zeros", name="negative")
        self.positive = self.add_variable((AUC_BUCKETS,), "zeros", name="positive")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch: classes 0 or 1, (B,) or (B, 1)."""
        true = tf.reshape(tf.cast(y_true, tf.float32), [-1])
        weight = tf.ones_like(true) if sample_weight is None else sample_weight
        weight = tf.reshape(tf.cast(weight, tf.float32), [-1])
        logit = tf.reshape(tf.cast(y_pred, tf.float32), [-1])
        bucket = tf.cast(auc_bucket(logit, tf), tf.int32)
        for counts, of_class in ((self.negative, 1.0 - true), (self.positive, true)):
            counts.assign_add(tf.math.unsorted_segment_sum(weight * of_class, bucket, AUC_BUCKETS))

    def result(self):
        """The area; 0 if one of the classes has no rows."""
        negative, positive = self.negative.value, self.positive.value
        below = tf.cumsum(negative) - negative / 2.0
        pairs = tf.reduce_sum(negative) * tf.reduce_sum(positive)
        return tf.math.divide_no_nan(tf.reduce_sum(positive * below), pairs)


def auc_bucket(logit, math):
    """Bucket indices of logits (B,) float32: 32 buckets per unit, from -16 to 16.

    Args:
        math: NumPy or TensorFlow, which give the same bits.
    """
    return math.minimum(math.maximum(math.floor((logit + 16.0) * 32.0), 0.0), AUC_BUCKETS - 1.0)
