"""Masked patches of an image, predicted from the visible ones (He et al. 2021, "MAE")."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from pipelines.steps.patches import masked_patches
from trainers.evaluation import statistics
from trainers.serving import image_features
from trainers.tasks.registry import Signature, Task, check_is_image
from trainers.training import features
from zoo.spec import Field

METRICS = ("loss", "r2")
LOWER_IS_BETTER = ("loss",)
MAIN_METRIC = "r2"
LABELS = False
# patch: pixels per side; mask_rate: fraction that is masked, 0 chooses by the number of patches.
OPTIONS = {"patch": 4, "mask_rate": 0.0}
LIMITS = {"patch": (1, None), "mask_rate": (0, 1)}


class R2(keras.metrics.Metric):
    """The explained fraction of the variance within masked patches; 0 for their means."""

    def __init__(self):
        super().__init__(name="r2")
        self.error = self.add_variable((), "zeros", name="error")
        self.total = self.add_variable((), "zeros", name="total")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch: targets of mean 0 and predictions (B, M, pixels), weights (B, M)."""
        error, total = sums(y_true, y_pred, sample_weight)
        self.error.assign_add(tf.reduce_sum(error))
        self.total.assign_add(tf.reduce_sum(total))

    def result(self):
        """0 before any batch."""
        explained = self.total.value - self.error.value
        return tf.math.divide_no_nan(explained, self.total.value)


def over(pipeline, schema, *, patch: int, mask_rate: float):
    """The pipeline with masked patches as targets, one output for each value in a patch.

    Raises:
        UsageError: the data is not images.
    """
    check_is_image("masked_image", pipeline, schema)
    channels = schema.raw["image"].shape[-1]
    pipeline = dataclasses.replace(
        pipeline, make_example=masked_patches(patch, mask_rate), example=None
    )
    outputs = patch * patch * channels
    return pipeline, schema._replace(target=None, class_names=(), outputs=outputs)


def loss(prepared) -> keras.losses.Loss:
    """Mean squared error of the values of a patch, one value for each masked patch."""
    del prepared
    return keras.losses.MeanSquaredError(reduction=None)


def metrics(prepared) -> list[keras.metrics.Metric]:
    """The explained fraction of the variance within masked patches."""
    del prepared
    return [R2()]


def sums(target, predicted, weight) -> tuple[tf.Tensor, tf.Tensor]:
    """Squared errors and squared targets of each row, over its masked patches: (B,) each."""
    squares = (tf.square(target - tf.cast(predicted, tf.float32)), tf.square(target))
    return tuple(tf.reduce_sum(square * weight[..., None], axis=[1, 2]) for square in squares)


def signatures(entry, hparams, model, prepared) -> dict[str, Signature]:
    """`serving_default`: features of each image from all patches; `score`, for evaluation."""
    del hparams
    inputs = {name: model.input[name] for name in ("image", "visible_positions")}
    encoder = keras.Model(inputs, features.of(model, entry))
    masked = prepared.spec.inputs["masked_positions"]
    visible = prepared.spec.inputs["visible_positions"]
    count = masked.shape[0] + visible.shape[0]

    def encode(inputs):
        positions = tf.zeros_like(inputs["image"][:, :1, 0, 0], tf.int32) + tf.range(count)[None]
        return encoder({**inputs, "visible_positions": positions}, training=False)

    def score(target, weight, **x):
        predicted = tf.cast(model(x, training=False), tf.float32)  # (B, M, pixels)
        error, total = sums(target, predicted, weight)
        return {"patches": predicted, "error": error, "total": total, "pixels": _pixels(target)}

    def scored(batch):
        return {**batch.x, "target": batch.y, "weight": batch.weight}

    target = Field((*masked.shape, prepared.schema.outputs), "float32")
    fields = {
        **prepared.spec.inputs,
        "target": target,
        "weight": masked._replace(dtype="float32"),
    }
    return {
        **image_features.signatures(encode, prepared),
        "score": Signature(score, fields, scored),
    }


def measured(answers, target) -> statistics.Statistics:
    """The metrics over all masked pixels."""
    del target
    error, total = (np.asarray(answers[name], np.float64) for name in ("error", "total"))
    # r2 as a ratio of the explained part, so that it is 0, as in R2, if patches are of one shade.
    ratios = {"loss": (error, answers["pixels"]), "r2": (total - error, total)}
    return statistics.of_ratios(ratios)


def _pixels(target: tf.Tensor) -> tf.Tensor:
    """The number of values in each row's masked patches: (B,)."""
    return tf.reduce_sum(tf.ones_like(target), axis=[1, 2])


TASK = Task(
    over=over,
    loss=loss,
    metrics=metrics,
    signatures=signatures,
    measured="score",
    scored="patches",
    kept=("error", "total", "pixels"),
    statistics=measured,
    probed=True,
)
