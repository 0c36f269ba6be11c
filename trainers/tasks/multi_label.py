"""Any number of labels for each row: one independent yes or no for each label."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from trainers.errors import UsageError
from trainers.evaluation import baselines, statistics
from trainers.evaluation.metrics import F1
from trainers.reports import html, sections
from trainers.serving import signatures
from trainers.tasks.registry import Constant, Mistakes, Task

METRICS = ("loss", "accuracy", "exact_match", "f1")
LOWER_IS_BETTER = ("loss",)
MAIN_METRIC = "f1"


def over(pipeline, schema):
    """The pipeline with one output for each label.

    Raises:
        UsageError: the target is not a flag for each label.
    """
    target, names = schema.target, schema.class_names
    if target is None or target.shape != (len(names),) or not target.dtype.startswith("float"):
        raise UsageError(
            "task multi_label takes data whose target is a 0 or 1 for each of its labels; "
            f"{pipeline.name} has task {schema.task}, target {target} and {len(names)} class names"
        )
    return pipeline, schema._replace(task="multi_label", outputs=len(names))


def combine(logits):
    """The logit of the members' mean probability: (B, members, labels) to (B, labels)."""
    # Both mean probabilities as logarithms, so that neither is rounded to 1.
    yes, no = (ops.logsumexp(ops.log_sigmoid(x), axis=1) for x in (logits, -logits))
    return yes - no


def loss(prepared, label_smoothing: float = 0.0) -> keras.losses.Loss:
    """Mean over labels of the cross-entropy of the sigmoid of logits (B, labels)."""
    del prepared
    return keras.losses.BinaryCrossentropy(
        from_logits=True, label_smoothing=label_smoothing, reduction=None
    )


def metrics(prepared) -> list[keras.metrics.Metric]:
    """Mean accuracy of labels, fraction of rows with all labels right, and mean F1 of labels."""
    del prepared
    return [
        keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0),
        keras.metrics.MeanMetricWrapper(_exact_match, name="exact_match"),
        F1("macro"),
    ]


def outputs(logits: tf.Tensor, class_names: tuple[str, ...]) -> dict[str, tf.Tensor]:
    """What the export returns for logits (B, labels), in the order of the class names."""
    del class_names  # model.json beside the export has them
    return {"logits": logits, "probabilities": tf.sigmoid(logits), "labels": logits > 0}


def measured(answers, target: np.ndarray) -> statistics.Statistics:
    """Means over rows, and hits, false alarms and misses of each label."""
    logits = np.asarray(answers["logits"], np.float64)
    true, positive = target > 0.5, logits > 0
    right = positive == true
    means = (
        statistics.cross_entropy(logits, true).mean(axis=1),
        right.mean(axis=1),
        right.all(axis=1),
    )
    counts = (positive & true, positive & ~true, ~positive & true)
    columns = np.concatenate([*(mean[:, None] for mean in means), *counts], axis=1)
    groups = np.zeros(len(logits), np.int64)
    return statistics.Statistics(columns.astype(np.float64), groups, _from_means)


def constant(prepared, target: np.ndarray) -> Constant:
    """The training fractions of the labels as their probabilities."""
    del prepared
    fraction = (target.sum(axis=0) + 1) / (len(target) + 2)
    return Constant(
        "label frequencies",
        "predicts each label with its frequency in the training rows as the probability",
        {"logits": np.log(fraction / (1 - fraction))[None].astype(np.float32)},
    )


def drawn(prepared, test) -> list:
    """Scores of each label, and calibration of all together."""
    true, probability = test.target > 0.5, statistics.sigmoid(test.outputs["logits"])
    reliability = statistics.calibration(probability.ravel(), true.ravel())
    return [
        sections.labels(true, probability, prepared.class_names),
        sections.calibration(reliability, "probability of a label", "fraction with the label"),
    ]


def mistakes(prepared, test, number: int) -> Mistakes:
    """Rows with a wrong label, those with the probability farthest from the truth first."""
    true, probability = test.target > 0.5, statistics.sigmoid(test.outputs["logits"])
    off = np.abs(probability - true)  # (N, labels)
    label, wrong = off.argmax(axis=1), (true != (test.outputs["logits"] > 0)).any(axis=1)
    index, names = statistics.worst(off.max(axis=1), wrong, number), np.array(prepared.class_names)
    entries = [
        (
            f"{names[label[i]]} {sections.percent(probability[i, label[i]])}",
            ", ".join(names[true[i]]) or "no label",
        )
        for i in index
    ]
    remark = (
        f"{html.count(int(wrong.sum()))} of {html.count(len(true))} test rows have a wrong "
        "label; those whose probability is farthest from the truth come first."
    )
    return Mistakes("Most confident mistakes", remark, index, ("worst label", "true"), entries)


def _exact_match(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """1 where every label of an example is right: (B,)."""
    right = tf.equal(target > 0.5, logits > 0)  # (B, labels)
    return tf.cast(tf.reduce_all(right, axis=-1), tf.float32)


def _from_means(means: np.ndarray, fractions: np.ndarray) -> dict[str, np.ndarray]:
    del fractions
    hits, false_alarms, misses = np.split(means[:, 3:], 3, axis=1)  # (R, labels) each
    f1 = statistics.ratio(2 * hits, 2 * hits + false_alarms + misses)
    names = ("loss", "accuracy", "exact_match")
    return dict(zip(names, means[:, :3].T, strict=True)) | {"f1": f1.mean(axis=1)}


TASK = Task(
    over=over,
    loss=loss,
    smooths=True,
    metrics=metrics,
    combine=combine,
    signatures=signatures.from_raw(outputs),
    statistics=measured,
    constant=constant,
    baselines=(baselines.linear("logistic regression of each label"),),
    sections=drawn,
    mistakes=mistakes,
)
