"""What is asked of a model, as data: loss, metrics, named outputs and signatures for each task."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import keras
import tensorflow as tf

from pipelines import Pipeline
from pipelines.core.specs import cut_to_need, signature
from trainers.errors import UsageError


class Task(NamedTuple):
    """How logits are trained, measured and served."""

    loss: Callable[..., keras.losses.Loss]  # loss(label_smoothing)
    metrics: Callable[..., list[keras.metrics.Metric]]  # metrics(num_outputs); of logits, weighted
    outputs: Callable[..., dict[str, tf.Tensor]]  # outputs(logits, class_names), all by name
    signatures: Callable[..., Mapping[str, Callable]]  # signatures(model, pipeline)


def reported_loss(task: Task) -> keras.metrics.Metric:
    """The loss without smoothing or penalties, as the weighted mean over real examples.

    It takes the place of Keras's own `loss`, which counts padding.
    """
    loss = task.loss(0.0)
    loss.reduction = None

    def per_example(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return loss(target, logits)

    return keras.metrics.MeanMetricWrapper(per_example, name="loss")


class _SmoothedCrossEntropy(keras.losses.Loss):
    """Cross-entropy of integer targets, a share of each spread over all classes."""

    def __init__(self, label_smoothing: float):
        super().__init__(name="smoothed_cross_entropy")
        self._label_smoothing = label_smoothing

    def call(self, target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        one_hot = tf.one_hot(tf.cast(target, tf.int32), logits.shape[-1])  # (B, classes)
        return keras.losses.categorical_crossentropy(
            one_hot, logits, from_logits=True, label_smoothing=self._label_smoothing
        )


def _classification_loss(label_smoothing: float) -> keras.losses.Loss:
    if label_smoothing:
        return _SmoothedCrossEntropy(label_smoothing)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _classification_metrics(num_outputs: int) -> list[keras.metrics.Metric]:
    metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    if num_outputs > 5:
        metrics.append(keras.metrics.SparseTopKCategoricalAccuracy(5, name="top_5_accuracy"))
    return metrics


def _classification_outputs(
    logits: tf.Tensor, class_names: tuple[str, ...]
) -> dict[str, tf.Tensor]:
    best = tf.argmax(logits, axis=-1)
    return {
        "logits": logits,
        "probabilities": tf.nn.softmax(logits),
        "class": best,
        "class_name": tf.gather(tf.constant(class_names), best),
    }


def _binary_loss(label_smoothing: float) -> keras.losses.Loss:
    return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=label_smoothing)


def _binary_metrics(num_outputs: int) -> list[keras.metrics.Metric]:
    del num_outputs
    return [
        keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0),
        keras.metrics.Precision(name="precision", thresholds=0.0),
        keras.metrics.Recall(name="recall", thresholds=0.0),
        _F1("micro"),
        keras.metrics.AUC(name="auc", from_logits=True),
    ]


def _binary_outputs(logits: tf.Tensor, class_names: tuple[str, ...]) -> dict[str, tf.Tensor]:
    logit = tf.squeeze(logits, axis=-1)  # (B,)
    best = tf.cast(logit > 0, tf.int64)
    return {
        "logits": logits,
        "probability": tf.sigmoid(logit),  # of the second class
        "class": best,
        "class_name": tf.gather(tf.constant(class_names), best),
    }


class _F1(keras.metrics.F1Score):
    """F1 of logits, one column a label: over all labels together ("micro") or their mean."""

    def __init__(self, average: str):
        super().__init__(average=average, threshold=0.5, name="f1")

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true = tf.reshape(tf.cast(y_true, tf.float32), tf.shape(y_pred))  # (B,) or (B, labels)
        super().update_state(y_true, tf.sigmoid(y_pred), sample_weight)


class _R2(keras.metrics.R2Score):
    """Share of the targets' variance that is explained; targets (B,), predictions (B, 1)."""

    def __init__(self):
        # Sums of squares in float32 lose the digits of targets that lie far from zero.
        super().__init__(name="r2", dtype="float64")

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(tf.reshape(y_true, tf.shape(y_pred)), y_pred, sample_weight)


def _exact_match(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """1 where every label of an example is right: (B,)."""
    right = tf.equal(target > 0.5, logits > 0)  # (B, labels)
    return tf.cast(tf.reduce_all(right, axis=-1), tf.float32)


def _multi_label_metrics(num_outputs: int) -> list[keras.metrics.Metric]:
    del num_outputs
    return [
        keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0),  # mean over labels
        keras.metrics.MeanMetricWrapper(_exact_match, name="exact_match"),
        _F1("macro"),
    ]


def _multi_label_outputs(logits: tf.Tensor, class_names: tuple[str, ...]) -> dict[str, tf.Tensor]:
    del class_names  # in the order of the columns; model.json beside the export has them
    return {
        "logits": logits,
        "probabilities": tf.sigmoid(logits),  # (B, labels)
        "labels": logits > 0,
    }


def _regression_loss(label_smoothing: float) -> keras.losses.Loss:
    if label_smoothing:
        raise UsageError("--label_smoothing is for classes; a regression has none")
    return keras.losses.MeanSquaredError()


def _regression_metrics(num_outputs: int) -> list[keras.metrics.Metric]:
    del num_outputs
    return [
        keras.metrics.MeanAbsoluteError(name="mean_absolute_error"),
        keras.metrics.RootMeanSquaredError(name="root_mean_squared_error"),
        _R2(),
    ]


def _regression_outputs(logits: tf.Tensor, class_names: tuple[str, ...]) -> dict[str, tf.Tensor]:
    del class_names
    return {"logits": logits, "value": tf.squeeze(logits, axis=-1)}  # in units of the target


def _serving_default(model: keras.Model, pipeline: Pipeline) -> Mapping[str, Callable]:
    """One signature from raw fields to named outputs, preprocessing inside."""
    outputs = TASKS[pipeline.task].outputs

    def serving_default(**raw: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = model(cut_to_need(pipeline, pipeline.preprocess(raw)), training=False)
        return outputs(tf.cast(logits, tf.float32), pipeline.class_names)

    # TensorFlow Serving calls by argument name: one keyword for each raw field.
    function = tf.function(serving_default, autograph=False)
    return {"serving_default": function.get_concrete_function(**signature(pipeline.raw))}


TASKS: dict[str, Task] = {
    "classification": Task(
        _classification_loss, _classification_metrics, _classification_outputs, _serving_default
    ),
    "binary": Task(_binary_loss, _binary_metrics, _binary_outputs, _serving_default),
    "multi_label": Task(_binary_loss, _multi_label_metrics, _multi_label_outputs, _serving_default),
    "regression": Task(
        _regression_loss, _regression_metrics, _regression_outputs, _serving_default
    ),
}
