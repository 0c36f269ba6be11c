"""Two views of an image, matched among views of other images (Chen et al. 2020, "SimCLR")."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from pipelines.steps.views import changes, interleaved, row_numbers, two_views
from trainers.devices.strategy import gathered
from trainers.evaluation import statistics
from trainers.serving import image_features
from trainers.tasks.registry import Signature, Task, check_is_image
from trainers.training import features
from zoo.spec import Field

METRICS = ("loss", "accuracy", "spread")
LOWER_IS_BETTER = ("loss",)
MAIN_METRIC = "accuracy"
LABELS = False
# width: of the projections that are compared, which are discarded after training. The others are
# those of pipelines.steps.views.changes, which replaces the data's own augmentation.
OPTIONS = {
    "temperature": 0.3,
    "width": 128,
    "crop": 0.2,
    "jitter": 0.4,
    "grey": 0.2,
    "flip": True,
}
LIMITS = {
    "temperature": (0.01, 10),
    "width": (2, None),
    "crop": (0, 1),
    "jitter": (0, 1),
    "grey": (0, 1),
}
_NEVER = -1e9  # logit of two views that are not compared
_ROUNDING = 1e-4  # of logits: a network with one output for all images is never right


def over(pipeline, schema, *, temperature, width, **views):
    """The pipeline with two views of each image, and its row number as y.

    Raises:
        UsageError: the data is not images.
    """
    del temperature
    check_is_image("contrastive", pipeline, schema)
    pipeline = dataclasses.replace(
        pipeline,
        augment=two_views(changes(**views)),
        augment_always=True,
        augment_until=1.0,
        example=row_numbers,
        make_example=None,
    )
    return pipeline, schema._replace(target=None, class_names=(), outputs=width)


def over_features(inputs: keras.KerasTensor, prepared) -> keras.KerasTensor:
    """Projections of both views of each row: features (2 B, features) to (B, 2, width).

    A hidden layer as wide as the features, as published (section 2.1).
    """
    width = prepared.schema.outputs
    x = keras.layers.Dense(inputs.shape[-1], "relu", name="projection1")(inputs)
    x = keras.layers.Dense(width, dtype="float32", name="projection2")(x)
    return ops.reshape(x, (-1, 2, width))


class NTXent(keras.losses.Loss):
    """How hard it is to tell a row's other view from the views of all other rows (NT-Xent).

    The cross-entropy of a softmax over the cosines, divided by the temperature, between a view and
    all other views of the batch; the row's other view is the right one. The mean over both views.
    """

    def __init__(self, temperature: float, **options):
        super().__init__(name="compared", **options)
        self._temperature = temperature

    def call(self, y_true, y_pred):
        """Row numbers (B,), -1 for no row, and projections (B, 2, width) to (B,)."""
        logits, right = compared(y_true, y_pred, self._temperature)
        return _by_row(tf.nn.sparse_softmax_cross_entropy_with_logits(right, logits))


class Spread(keras.metrics.Metric):
    """How evenly directions spread around the origin: from 0, all rows in the same one, to 1.

    The square root of the variance of directions of (B, 2, width), summed over components. Below
    0.5 the outputs for all images are nearly alike: the network has collapsed.
    """

    def __init__(self, width: int):
        super().__init__(name="spread")
        self.total = self.add_variable((width,), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch."""
        del y_true
        self.total.assign_add(tf.reduce_sum(directions(y_pred) * sample_weight[:, None], axis=0))
        self.count.assign_add(tf.reduce_sum(sample_weight))

    def result(self):
        """0 before any batch."""
        mean = tf.math.divide_no_nan(self.total.value, self.count.value)
        spread = tf.sqrt(tf.maximum(1.0 - tf.reduce_sum(tf.square(mean)), 0.0))
        return tf.where(self.count.value > 0, spread, 0.0)


def compared(y, projections, temperature: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Logits of each view against all views of all replicas, and the index of the right one.

    Args:
        y: (b,) row numbers; views of rows numbered -1 are not compared with.
        projections: (b, 2, width).

    Returns:
        (2 b, 2 B) and (2 b,).
    """
    width = projections.shape[-1]
    views = tf.math.l2_normalize(tf.reshape(projections, [-1, width]), axis=1)  # (2 b, width)
    all_views, first = gathered(views)
    rows, _ = gathered(tf.repeat(y, 2))
    index = first + tf.range(tf.shape(views)[0])
    itself = index[:, None] == tf.range(tf.shape(all_views)[0])[None]
    logits = tf.matmul(views, all_views, transpose_b=True) / temperature
    logits = tf.where(itself | (rows < 0)[None], _NEVER, logits)
    return logits, tf.bitwise.bitwise_xor(index, 1)


def directions(projections: tf.Tensor) -> tf.Tensor:
    """The mean of the directions of both views of each row: (B, 2, width) to (B, width)."""
    return tf.reduce_mean(tf.math.l2_normalize(projections, axis=-1), axis=1)


def loss(prepared) -> keras.losses.Loss:
    """NT-Xent of projections (B, 2, width), one value for each row."""
    return NTXent(prepared.pipeline.task_options["temperature"], reduction=None)


def metrics(prepared) -> list[keras.metrics.Metric]:
    """How often a view's nearest is its row's other one, and how evenly directions spread."""

    def accuracy(y, projections):
        return _row_accuracy(y, projections, prepared.pipeline.task_options["temperature"])

    return [
        keras.metrics.MeanMetricWrapper(accuracy, name="accuracy"),
        Spread(prepared.schema.outputs),
    ]


def signatures(entry, hparams, model, prepared) -> dict[str, Signature]:
    """`serving_default`: features of each image; `score`: both views, for evaluation."""
    del hparams
    encoder = keras.Model(model.input, features.of(model, entry))
    temperature = prepared.pipeline.task_options["temperature"]

    def score(view1, view2, row):
        inputs = {"image": interleaved(view1, view2)}
        projections = tf.cast(model(inputs, training=False), tf.float32)
        logits, right = compared(row, projections, temperature)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(right, logits)
        return {
            "projections": projections,
            "losses": _by_row(losses),
            "right": _row_accuracy(row, projections, temperature),
            "direction": directions(projections),
        }

    def views(batch):
        both = batch.x["image"]
        both = tf.reshape(both, [-1, 2, *both.shape[1:]])
        return {"view1": both[:, 0], "view2": both[:, 1], "row": batch.y}

    field = prepared.spec.inputs["image"]
    fields = {"view1": field, "view2": field, "row": Field((), "int64")}
    return {
        **image_features.signatures(lambda x: encoder(x, training=False), prepared),
        "score": Signature(score, fields, views),
    }


def measured(answers, target) -> statistics.Statistics:
    """Loss, accuracy and the mean direction as means over rows."""
    del target
    columns = np.column_stack([answers["losses"], answers["right"], answers["direction"]])

    def of(means: np.ndarray, fractions: np.ndarray) -> dict[str, np.ndarray]:
        del fractions
        spread = np.sqrt(np.maximum(1 - np.square(means[:, 2:]).sum(axis=1), 0))
        return {"loss": means[:, 0], "accuracy": means[:, 1], "spread": spread}

    columns = columns.astype(np.float64)
    return statistics.Statistics(columns, np.zeros(len(columns), np.int64), of)


def _row_accuracy(y, projections, temperature: float) -> tf.Tensor:
    """The fraction of each row's views whose nearest view is the other one: (B,).

    0 where there is no other row to compare with.
    """
    logits, right = compared(y, projections, temperature)
    is_right = tf.one_hot(right, tf.shape(logits)[1], on_value=True, off_value=False)
    positive = tf.gather(logits, right, batch_dims=1)
    nearest_other = tf.reduce_max(tf.where(is_right, _NEVER, logits), axis=1)
    nearer = (positive - nearest_other > _ROUNDING) & (nearest_other > _NEVER / 2)
    return _by_row(tf.cast(nearer, tf.float32))


def _by_row(of_views: tf.Tensor) -> tf.Tensor:
    """The mean over both views: (2 B,) to (B,)."""
    return tf.reduce_mean(tf.reshape(of_views, [-1, 2]), axis=1)


TASK = Task(
    over=over,
    over_features=over_features,
    own_weights=("^projection",),
    loss=loss,
    metrics=metrics,
    signatures=signatures,
    measured="score",
    scored="projections",
    kept=("losses", "right", "direction"),
    statistics=measured,
    probed=True,
)
