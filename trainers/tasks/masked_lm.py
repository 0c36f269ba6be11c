"""Masked tokens of a text, predicted from those around them (Devlin et al. 2019)."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from pipelines.core.padding import cut_to_need
from pipelines.steps.masking import masked
from pipelines.steps.windows import in_windows
from trainers.evaluation import statistics
from trainers.evaluation.metrics import ElementMean
from trainers.tasks.registry import Signature, Task, check_is_text

METRICS = ("loss", "accuracy", "perplexity")
LOWER_IS_BETTER = ("loss", "perplexity")
MAIN_METRIC = "accuracy"
LABELS = False
# packed: texts follow one another in rows without padding; else each has a row of its own.
OPTIONS = {"mask_rate": 0.15, "packed": True}
LIMITS = {"mask_rate": (0.01, 0.9)}
_FORM = "pieces"


class Perplexity(ElementMean):
    """The exponential of the mean cross-entropy of tokens (B, M) and logits (B, M, ids)."""

    def __init__(self):
        super().__init__(
            keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None),
            name="perplexity",
        )

    def result(self):
        """Infinite from a loss of 89 on."""
        return keras.ops.exp(super().result())


def over(pipeline, schema, *, mask_rate: float, packed: bool):
    """The pipeline with masked tokens as targets, one output for each piece of the vocabulary.

    Raises:
        UsageError: the data is not text.
    """
    check_is_text("masked_lm", pipeline, schema)
    form = pipeline.forms[_FORM]

    def outputs(state) -> int:
        return form.fields(state[f"inputs/{_FORM}"])["tokens"].ids

    pipeline = dataclasses.replace(
        pipeline,
        forms={_FORM: form},
        make_example=masked(mask_rate),
        arrange=in_windows if packed else None,
    )
    return pipeline, schema._replace(task="masked_lm", target=None, class_names=(), outputs=outputs)


def loss(prepared) -> keras.losses.Loss:
    """Cross-entropy of the softmax of logits (B, M, ids), one value for each masked token."""
    del prepared
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)


def loss_scale(prepared) -> float:
    """One over the mask rate, so that the size of the gradient does not depend on it."""
    return 1.0 / prepared.pipeline.task_options["mask_rate"]


def metrics(prepared) -> list[keras.metrics.Metric]:
    """The fraction of masked tokens that are predicted correctly, and perplexity."""
    del prepared
    accuracy = ElementMean(keras.metrics.sparse_categorical_accuracy, name="accuracy")
    return [accuracy, Perplexity()]


def signatures(entry, hparams, model, prepared) -> dict[str, Signature]:
    """`serving_default`: a vector of each text; `score`: masked tokens, for evaluation.

    The vector is the mean of the model's features over the tokens.
    """
    del hparams
    tokens = model.input["tokens"]
    encoder = keras.Model(tokens, model.get_layer(entry.features).output)

    def serving_default(**raw):
        inputs = cut_to_need(prepared.preprocess(raw), prepared.padded)
        real = tf.cast(inputs["tokens"] != 0, tf.float32)[..., None]  # (B, T, 1)
        vectors = tf.cast(encoder(inputs["tokens"], training=False), tf.float32)  # (B, T, width)
        number = tf.reduce_sum(real, axis=1)  # (B, 1)
        return {
            "features": tf.reduce_sum(vectors * real, axis=1) / tf.maximum(number, 1.0),
            "num_tokens": tf.cast(number[:, 0], tf.int32),
        }

    def score(tokens, masked_positions, hidden, weight):
        inputs = {"tokens": tokens, "masked_positions": masked_positions}
        logits = tf.cast(model(inputs, training=False), tf.float32)  # (B, M, ids)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(hidden, logits)
        right = tf.cast(tf.argmax(logits, axis=-1, output_type=tf.int32) == hidden, tf.float32)
        return {
            "logits": logits,
            "losses": tf.reduce_sum(losses * weight, axis=1),
            "right": tf.reduce_sum(right * weight, axis=1),
            "hidden": tf.reduce_sum(weight, axis=1),
        }

    def raw_texts(batch):
        if batch.raw:
            return batch.raw
        [name] = prepared.raw  # the rows are windows: the text that their tokens stand for
        return {name: prepared.preprocess.decode(batch.inputs["tokens"])}

    def hidden_tokens(batch):
        return {**batch.x, "hidden": batch.y, "weight": batch.weight}

    field = prepared.spec.inputs["masked_positions"]
    fields = {**prepared.spec.inputs, "hidden": field, "weight": field._replace(dtype="float32")}
    return {
        "serving_default": Signature(serving_default, dict(prepared.raw), raw_texts),
        "score": Signature(score, fields, hidden_tokens),
    }


def measured(answers, target) -> statistics.Statistics:
    """The metrics over all masked tokens."""
    del target
    names = {"loss": "losses", "accuracy": "right"}
    of_tokens = statistics.of_ratios({k: (answers[v], answers["hidden"]) for k, v in names.items()})

    def of(means: np.ndarray, fractions: np.ndarray) -> dict[str, np.ndarray]:
        values = of_tokens.metrics(means, fractions)
        return {**values, "perplexity": np.exp(values["loss"])}

    return of_tokens._replace(metrics=of)


TASK = Task(
    over=over,
    loss=loss,
    loss_scale=loss_scale,
    metrics=metrics,
    signatures=signatures,
    measured="score",
    kept=("losses", "right", "hidden"),
    statistics=measured,
)
