"""What a task measures while it trains and after: Keras metrics that count real examples alone."""

import keras
import tensorflow as tf

from trainers.tasks.registry import Task


def measures(task: Task, prepared) -> list[keras.metrics.Metric]:
    """The reported loss and the task's own metrics, new and all zero.

    The loss is without smoothing and penalties, as the weighted mean over real examples. It takes
    the position of Keras's own `loss`, which counts the examples that fill up the last batch.
    """
    loss = task.loss(prepared)

    def per_element(target: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
        return loss(target, output)

    return [keras.metrics.MeanMetricWrapper(per_element, name="loss"), *task.metrics(prepared)]


class F1(keras.metrics.F1Score):
    """F1 of logits, one column a label: over all labels together ("micro") or their mean."""

    def __init__(self, average: str):
        super().__init__(average=average, threshold=0.5, name="f1")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Counts a batch: targets (B,) or (B, labels), logits (B, labels)."""
        y_true = tf.reshape(tf.cast(y_true, tf.float32), tf.shape(y_pred))
        super().update_state(y_true, tf.sigmoid(y_pred), sample_weight)
