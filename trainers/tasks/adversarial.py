"""Images of a class, made by a generator that a critic compares with real ones (a GAN)."""

import keras
import numpy as np
import tensorflow as tf

from pipelines.steps.noise import normal, with_latents
from trainers.evaluation import statistics
from trainers.serving.generate import over_images, signature
from trainers.tasks.registry import Signature, Task

METRICS = ("loss", "margin", "penalty")
LOWER_IS_BETTER = ("loss", "penalty")
MAIN_METRIC = "margin"
# latent: size of the normal vector that an image is made from.
# penalty: half of it is the weight of the critic's squared slopes, at real and at generated images.
OPTIONS = {"latent": 64, "penalty": 0.1}
LIMITS = {"latent": (1, 10_001), "penalty": (0, None)}
_PARTS = 3  # of the model's output: margin and two slopes
_GENERATED = "generated"  # the layer that holds what the generator makes


class PairLoss(keras.losses.Loss):
    """softplus(-margin) + penalty / 2 * (sum of two squared slopes), from outputs (B, 3).

    A pair is a real image and a generated one of its class (Jolicoeur-Martineau 2018; Huang et al.
    2024, arXiv 2501.05441, section 2).
    """

    def __init__(self, penalty: float):
        super().__init__(reduction=None)
        self._penalty = penalty

    def call(self, y_true, y_pred):
        """One value for each pair."""
        del y_true
        return _loss(y_pred, self._penalty)


def over(pipeline, schema, *, latent: int, penalty: float):
    """The pipeline with latents and noise beside its images as x, and their labels as y.

    Raises:
        UsageError: the data is not images of one class each.
    """
    del penalty  # used by the loss
    made, schema = over_images(
        "adversarial", pipeline, schema, no_class=False, make_example=with_latents(latent)
    )
    return made, schema._replace(outputs=_PARTS)


def loss(prepared) -> keras.losses.Loss:
    """The critic's loss; the generator's is in its gradient (zoo/gan.py)."""
    return PairLoss(prepared.pipeline.task_options["penalty"])


def margin(label, parts):
    """By how much the critic scores a real image above a generated one: (B,).

    0.5 to 3 while both networks learn, 0 if it cannot tell them apart, above 10 if it has won.
    """
    del label
    return parts[:, 0]


def penalty(label, parts):
    """The sum of the critic's squared slopes at both images: (B,)."""
    del label
    return parts[:, 1] + parts[:, 2]


def metrics(prepared) -> list[keras.metrics.Metric]:
    """The mean margin and the mean of the squared slopes."""
    del prepared
    return [
        keras.metrics.MeanMetricWrapper(margin, name="margin"),
        keras.metrics.MeanMetricWrapper(penalty, name="penalty"),
    ]


def signatures(entry, hparams, model, prepared) -> dict[str, Signature]:
    """`generate` for clients; `score`, of pairs of real and generated images, for evaluation."""
    del entry, hparams
    options = prepared.pipeline.task_options
    inputs = {name: model.input[name] for name in ("latent", "label")}
    generator = keras.Model(inputs, model.get_layer(_GENERATED).output)

    def make(keys, label):
        latent = normal(keys.named("latent"), options["latent"])
        images = generator({"latent": latent, "label": label}, training=False)
        return tf.cast(images, tf.float32)

    def score(**inputs):
        parts = tf.cast(model(inputs, training=False), tf.float32)
        return {
            "parts": parts,
            "losses": _loss(parts, options["penalty"]),
            "margin": margin(None, parts),
            "penalty": penalty(None, parts),
        }

    def scored(batch):
        return dict(batch.x)

    return {
        "generate": signature(make, prepared.class_names),
        "score": Signature(score, dict(prepared.spec.inputs), scored),
    }


def measured(answers, target) -> statistics.Statistics:
    """The metrics as means over pairs."""
    del target
    kept = {"loss": "losses", "margin": "margin", "penalty": "penalty"}
    return statistics.of_means({name: np.asarray(answers[key]) for name, key in kept.items()})


def _loss(parts: tf.Tensor, weight: float) -> tf.Tensor:
    return tf.math.softplus(-parts[:, 0]) + weight / 2 * (parts[:, 1] + parts[:, 2])


TASK = Task(
    over=over,
    loss=loss,
    metrics=metrics,
    signatures=signatures,
    measured="score",
    scored="parts",
    kept=("losses", "margin", "penalty"),
    statistics=measured,
    generates=True,
)
