"""One class for each row, out of two or more."""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from trainers.errors import UsageError
from trainers.evaluation import baselines, statistics
from trainers.reports import sections
from trainers.serving import signatures
from trainers.tasks.registry import Constant, Mistakes, Task

METRICS = ("loss", "accuracy", "top_5_accuracy")
LOWER_IS_BETTER = ("loss",)
MAIN_METRIC = "accuracy"


# Targets are classes (B,), or fractions of the classes (B, classes) where rows are mixed.


class SmoothedCrossEntropy(keras.losses.Loss):
    """Cross-entropy of integer targets with label smoothing."""

    def __init__(self, label_smoothing: float, **options):
        super().__init__(name="smoothed_cross_entropy", **options)
        self._label_smoothing = label_smoothing

    def call(self, target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """One value for each example: targets (B,), logits (B, classes)."""
        one_hot = tf.one_hot(tf.cast(target, tf.int32), logits.shape[-1])  # (B, classes)
        return keras.losses.categorical_crossentropy(
            one_hot, logits, from_logits=True, label_smoothing=self._label_smoothing
        )


def over(pipeline, schema):
    """The pipeline with one output for each class name.

    Raises:
        UsageError: the target is not one class for each row.
    """
    target, names = schema.target, schema.class_names
    if target is None or target.shape or not target.dtype.startswith("int") or len(names) < 2:
        raise UsageError(
            "task classification takes data whose target is one of two or more classes; "
            f"{pipeline.name} has {_described(schema)}"
        )
    return pipeline, schema._replace(task="classification", outputs=len(names))


def combine(logits):
    """The logarithm of the members' mean probabilities: (B, members, classes) to (B, classes)."""
    return ops.logsumexp(ops.log_softmax(logits), axis=1) - math.log(logits.shape[1])


def loss(prepared, label_smoothing: float = 0.0) -> keras.losses.Loss:
    """Cross-entropy of the softmax of logits (B, classes).

    Smoothing a mixture is the same as mixing smoothed targets: both are linear.
    """
    if _has_shares(prepared):
        return keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=label_smoothing, reduction=None
        )
    if label_smoothing:
        return SmoothedCrossEntropy(label_smoothing, reduction=None)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)


def metrics(prepared) -> list[keras.metrics.Metric]:
    """Accuracy, and top-5 accuracy where there are more than five classes.

    The true class of a mixture is the one with the largest fraction.
    """
    if _has_shares(prepared):
        one, five = keras.metrics.CategoricalAccuracy, keras.metrics.TopKCategoricalAccuracy
    else:
        one = keras.metrics.SparseCategoricalAccuracy
        five = keras.metrics.SparseTopKCategoricalAccuracy
    chosen = [one(name="accuracy")]
    if _has_top_5(prepared.spec.num_outputs):
        chosen.append(five(5, name="top_5_accuracy"))
    return chosen


def outputs(logits: tf.Tensor, class_names: tuple[str, ...]) -> dict[str, tf.Tensor]:
    """What the export returns for logits (B, classes)."""
    best = tf.argmax(logits, axis=-1)
    return {
        "logits": logits,
        "probabilities": tf.nn.softmax(logits),
        "class": best,
        "class_name": tf.gather(tf.constant(class_names), best),
    }


def measured(answers, target: np.ndarray) -> statistics.Statistics:
    """Loss and accuracies as means over rows."""
    logits = np.asarray(answers["logits"], np.float64)
    true = logits[np.arange(len(logits)), target]
    columns = {
        "loss": np.logaddexp.reduce(logits, axis=1) - true,
        "accuracy": logits.argmax(axis=1) == target,
    }
    if _has_top_5(logits.shape[1]):
        columns["top_5_accuracy"] = (logits > true[:, None]).sum(axis=1) < 5
    return statistics.of_means(columns)


def constant(prepared, target: np.ndarray) -> Constant:
    """The most frequent class, with the training fractions as probabilities."""
    counts = statistics.class_counts(target, len(prepared.class_names))
    logits = np.log(counts / counts.sum())[None].astype(np.float32)
    return Constant(
        "most frequent class",
        f"always predicts {prepared.class_names[counts.argmax()]!r}, with the class frequencies "
        "of the training rows as probabilities",
        {"logits": logits},
    )


def drawn(prepared, test) -> list:
    """Confusion, classes and calibration."""
    probabilities = statistics.of_classes(test.outputs["logits"])
    predicted, names = probabilities.argmax(axis=1), prepared.class_names
    reliability = statistics.calibration(probabilities.max(axis=1), predicted == test.target)
    return [
        sections.confusion(test.target, predicted, names),
        sections.per_class(test.target, predicted, names),
        sections.calibration(reliability, "predicted probability", "fraction that is right"),
    ]


def mistakes(prepared, test, number: int) -> Mistakes:
    """The most confident wrong predictions."""
    return sections.wrong_classes(
        statistics.of_classes(test.outputs["logits"]), test.target, prepared.class_names, number
    )


def captions(prepared, logits: np.ndarray, target: np.ndarray) -> list[tuple[str, str]]:
    """Names of the predicted and of the true class of some rows."""
    names = prepared.class_names
    return [(names[a], names[t]) for a, t in zip(logits.argmax(axis=1), target, strict=True)]


def _has_shares(prepared) -> bool:
    """Whether targets are fractions of the classes."""
    return len(prepared.batch_signature[1].shape) == 2


def _has_top_5(num_outputs: int) -> bool:
    """Whether top_5_accuracy can be below 1."""
    return num_outputs > 5


def _described(schema) -> str:
    return f"task {schema.task}, target {schema.target} and {len(schema.class_names)} class names"


TASK = Task(
    over=over,
    loss=loss,
    smooths=True,
    metrics=metrics,
    combine=combine,
    signatures=signatures.from_raw(outputs),
    class_weights=True,
    mixes=True,
    statistics=measured,
    constant=constant,
    baselines=(baselines.linear("logistic regression"),),
    sections=drawn,
    mistakes=mistakes,
    captions=captions,
)
