"""Images of a class made from noise, along a learned velocity field (Liu et al. 2022)."""

import keras
import numpy as np
import tensorflow as tf

from pipelines.steps.noise import flow_matching, normal_like
from trainers.errors import UsageError
from trainers.evaluation import statistics
from trainers.serving.generate import guided, heun, image_shape, over_images, signature
from trainers.tasks.registry import Signature, Task
from zoo.spec import Field

METRICS = ("loss",)
LOWER_IS_BETTER = ("loss",)
MAIN_METRIC = "loss"
# steps: of integration from noise to an image; each but the last calls the network twice.
# guidance: 1 samples the class as it was learnt; with more, images show it more clearly and vary
# less. On MNIST a small network is nearest to real images at 1.5 (docs/images_generated.md).
# class_dropout: fraction of the examples that are learnt without their class.
OPTIONS = {"steps": 6, "guidance": 1.5, "class_dropout": 0.1}
LIMITS = {"steps": (1, 10_001), "guidance": (0, 100), "class_dropout": (0, 1)}


class SquaredError(keras.losses.Loss):
    """The mean squared error of each image's velocity: (B, H, W, C) to (B,)."""

    def call(self, y_true, y_pred):
        """One value for each image."""
        return _squared(y_true, y_pred)


def over(pipeline, schema, *, steps: int, guidance: float, class_dropout: float):
    """The pipeline with images partway to noise as x, and the velocity there as y.

    Raises:
        UsageError: the data is not images of one class each; or guidance needs the prediction
            without a class, which would never be learnt.
    """
    del steps  # used by the signature
    if not class_dropout and guidance != 1:
        raise UsageError(
            f"--task_options: guidance={guidance:g} needs examples that are learnt without their "
            "class: class_dropout above 0, or guidance=1"
        )

    def outputs(state) -> int:
        return image_shape(pipeline, schema, state)[-1]

    made, schema = over_images(
        "rectified_flow", pipeline, schema, no_class=True, make_example=flow_matching(class_dropout)
    )
    return made, schema._replace(outputs=outputs)


def loss(prepared) -> keras.losses.Loss:
    """Mean squared error of the velocity, one value for each image."""
    del prepared
    return SquaredError(reduction=None)


def metrics(prepared) -> list[keras.metrics.Metric]:
    """No metrics besides the loss, which is always added."""
    del prepared
    return []


def signatures(entry, hparams, model, prepared) -> dict[str, Signature]:
    """`generate` for clients; `score`, of images partway to noise, for evaluation."""
    del entry, hparams
    options = prepared.pipeline.task_options
    image = prepared.spec.inputs["image"]

    def velocity(x, time, label):
        inputs = {"image": x, "time": time, "label": label}
        return tf.cast(model(inputs, training=False), tf.float32)

    def make(keys, label):
        blank = tf.zeros([1, *image.shape])
        noise = normal_like(blank, keys.named("noise"))
        return heun(guided(velocity, label + 1, options["guidance"]), noise, options["steps"])

    def score(image, time, label, target):
        predicted = velocity(image, time, label)
        return {"velocity": predicted, "squared": _squared(target, predicted)}

    def scored(batch):
        return {**batch.x, "target": batch.y}

    target = Field(image.shape, "float32")
    return {
        "generate": signature(make, prepared.class_names),
        "score": Signature(score, {**prepared.spec.inputs, "target": target}, scored),
    }


def measured(answers, target) -> statistics.Statistics:
    """The loss as a mean over images."""
    del target
    return statistics.of_means({"loss": np.asarray(answers["squared"])})


def _squared(y: tf.Tensor, answer: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.square(answer - tf.cast(y, answer.dtype)), axis=[1, 2, 3])


TASK = Task(
    over=over,
    loss=loss,
    metrics=metrics,
    signatures=signatures,
    measured="score",
    scored="velocity",
    kept=("squared",),
    statistics=measured,
    generates=True,
)
