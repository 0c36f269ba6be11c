"""Yes or no for each row: the probability of the second of two classes, from one logit."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from trainers.errors import UsageError
from trainers.evaluation import baselines, statistics
from trainers.evaluation.metrics import AUC, AUC_BUCKETS, F1, auc_bucket
from trainers.reports import sections
from trainers.serving import signatures
from trainers.tasks.registry import Constant, Mistakes, Task

METRICS = ("loss", "accuracy", "precision", "recall", "f1", "auc")
LOWER_IS_BETTER = ("loss",)
MAIN_METRIC = "accuracy"


def over(pipeline, schema):
    """The pipeline with one output for its two classes.

    Raises:
        UsageError: the target is not one of two classes.
    """
    target, names = schema.target, schema.class_names
    if target is None or target.shape or not target.dtype.startswith("int") or len(names) != 2:
        raise UsageError(
            "task binary takes data whose target is one of two classes; "
            f"{pipeline.name} has task {schema.task}, target {target} and {len(names)} class names"
        )
    return pipeline, schema._replace(task="binary", outputs=1)


def combine(logits):
    """The logit of the members' mean probability: (B, members, 1) to (B, 1)."""
    # Both mean probabilities as logarithms, so that neither is rounded to 1.
    yes, no = (ops.logsumexp(ops.log_sigmoid(x), axis=1) for x in (logits, -logits))
    return yes - no


def loss(prepared, label_smoothing: float = 0.0) -> keras.losses.Loss:
    """Cross-entropy of the sigmoid of logits (B, 1)."""
    del prepared
    return keras.losses.BinaryCrossentropy(
        from_logits=True, label_smoothing=label_smoothing, reduction=None
    )


def metrics(prepared) -> list[keras.metrics.Metric]:
    """Metrics of the second class at a threshold of one half, and the area under the ROC curve."""
    del prepared
    return [
        keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0),
        keras.metrics.Precision(name="precision", thresholds=0.0),
        keras.metrics.Recall(name="recall", thresholds=0.0),
        F1("micro"),
        AUC(),
    ]


def outputs(logits: tf.Tensor, class_names: tuple[str, ...]) -> dict[str, tf.Tensor]:
    """What the export returns for logits (B, 1)."""
    logit = tf.squeeze(logits, axis=-1)  # (B,)
    best = tf.cast(logit > 0, tf.int64)
    return {
        "logits": logits,
        "probability": tf.sigmoid(logit),  # of the second class
        "class": best,
        "class_name": tf.gather(tf.constant(class_names), best),
    }


def measured(answers, target: np.ndarray) -> statistics.Statistics:
    """Every metric from counts of hits, false alarms and misses; AUC from histograms of scores."""
    logit, true = np.asarray(answers["logits"], np.float64)[:, 0], target > 0
    positive = logit > 0
    columns = (
        statistics.cross_entropy(logit, true),
        positive == true,
        positive & true,
        positive & ~true,
        ~positive & true,
    )
    bucket = np.nan_to_num(auc_bucket(logit.astype(np.float32), np)).astype(np.int64)
    columns = np.stack(columns, axis=1).astype(np.float64)
    return statistics.Statistics(columns, 2 * bucket + true, _from_means)


def constant(prepared, target: np.ndarray) -> Constant:
    """The more frequent class, with the training fraction of the second as probability."""
    first, second = statistics.class_counts(target, 2)
    return Constant(
        "most frequent class",
        f"always predicts {prepared.class_names[int(second > first)]!r}, with the class "
        "frequencies of the training rows as probabilities",
        {"logits": np.array([[np.log(second / first)]], np.float32)},
    )


def drawn(prepared, test) -> list:
    """Confusion with the ROC curve, classes and calibration."""
    second, names = _probability(test), prepared.class_names
    predicted = (test.outputs["logits"][:, 0] > 0).astype(np.int64)
    reliability = statistics.calibration(second, test.target == 1)
    roc = sections.roc(test.target, second, names[1])
    return [
        sections.confusion(test.target, predicted, names, roc),
        sections.per_class(test.target, predicted, names),
        sections.calibration(
            reliability, f"probability of {names[1]}", f"fraction that is {names[1]}"
        ),
    ]


def mistakes(prepared, test, number: int) -> Mistakes:
    """The most confident wrong predictions."""
    second = _probability(test)
    both = np.stack([1 - second, second], axis=1)
    return sections.wrong_classes(both, test.target, prepared.class_names, number)


def captions(prepared, logits: np.ndarray, target: np.ndarray) -> list[tuple[str, str]]:
    """Names of the predicted and of the true class of some rows."""
    names = prepared.class_names
    return [(names[int(a)], names[t]) for a, t in zip(logits[:, 0] > 0, target, strict=True)]


def _probability(test) -> np.ndarray:
    """Probability of the second class: (N,)."""
    return statistics.sigmoid(test.outputs["logits"][:, 0])


def _from_means(means: np.ndarray, fractions: np.ndarray) -> dict[str, np.ndarray]:
    loss, accuracy, hits, false_alarms, misses = means.T
    fractions = np.pad(fractions, [(0, 0), (0, 2 * AUC_BUCKETS - fractions.shape[1])])
    negative, positive = fractions[:, ::2], fractions[:, 1::2]  # (R, buckets)
    below = np.cumsum(negative, axis=1) - negative / 2  # ties count half
    area, pairs = (positive * below).sum(axis=1), positive.sum(axis=1) * negative.sum(axis=1)
    return {
        "loss": loss,
        "accuracy": accuracy,
        "precision": statistics.ratio(hits, hits + false_alarms),
        "recall": statistics.ratio(hits, hits + misses),
        "f1": statistics.ratio(2 * hits, 2 * hits + false_alarms + misses),
        # Rounded: sums of fractions are inexact in their last bits, and no AUC is above 1.
        "auc": np.where(pairs > 0, np.round(statistics.ratio(area, pairs), 12), np.nan),
    }


TASK = Task(
    over=over,
    loss=loss,
    smooths=True,
    metrics=metrics,
    combine=combine,
    signatures=signatures.from_raw(outputs),
    class_weights=True,
    statistics=measured,
    constant=constant,
    baselines=(baselines.linear("logistic regression"),),
    sections=drawn,
    mistakes=mistakes,
    captions=captions,
)
