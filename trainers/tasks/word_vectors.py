"""Word vectors, from the words around each word in running text (Mikolov et al. 2013)."""

import dataclasses
import functools
import math

import keras
import numpy as np
import tensorflow as tf

from pipelines.steps.running_words import vocabulary, words_form
from pipelines.steps.skip_grams import skip_grams
from pipelines.steps.windows import in_windows
from trainers.evaluation import statistics
from trainers.serving import word_vectors
from trainers.tasks.registry import Signature, Task, check_is_text
from zoo.spec import Field

METRICS = ("loss", "accuracy")
LOWER_IS_BETTER = ("loss",)
MAIN_METRIC = "accuracy"
LABELS = False
# negatives: sampled for each row of row_length words; together they weigh negatives_per_pair for
# each pair. subsample: words more frequent than this fraction are dropped at random; 0: never.
OPTIONS = {
    "vocab_size": 30_000,
    "min_count": 5,
    "window": 5,
    "negatives": 64,
    "negatives_per_pair": 5.0,
    "subsample": 1e-4,
    "row_length": 256,
}
LIMITS = {
    "vocab_size": (1, None),
    "min_count": (1, None),
    "window": (1, 100),
    "negatives": (1, None),
    "negatives_per_pair": (0.01, None),
    "subsample": (0, 1),
    "row_length": (2, None),
}
_FORM = "words"


class Accuracy(keras.metrics.Metric):
    """The fraction of logits (B, T, N) that tell pairs from negatives, both weighted equally.

    Args:
        negatives_per_pair: how much more negatives weigh in the loss; with equal weights the
            logits would be larger by its logarithm.
    """

    def __init__(self, negatives_per_pair: float):
        super().__init__(name="accuracy")
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")
        self._more = negatives_per_pair

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch."""
        even = _even(y_true, sample_weight, self._more)
        self.total.assign_add(tf.reduce_sum(_right(y_true, y_pred, self._more) * even))
        self.count.assign_add(tf.reduce_sum(even))

    def result(self):
        """0 before any batch."""
        return tf.math.divide_no_nan(self.total.value, self.count.value)


def over(pipeline, schema, *, vocab_size, min_count, row_length, **sampling):
    """The pipeline as rows of running words; y is 1 for words around each, 0 for negatives.

    Raises:
        UsageError: the data is not text.
    """
    check_is_text("word_vectors", pipeline, schema)
    [field] = schema.raw
    pipeline = dataclasses.replace(
        pipeline,
        forms={_FORM: words_form(vocab_size, min_count, row_length, field)},
        make_example=skip_grams(**sampling),
        arrange=functools.partial(in_windows, name=_FORM),
    )
    outputs = 2 * sampling["window"] + sampling["negatives"]
    return pipeline, schema._replace(target=None, class_names=(), outputs=outputs)


class Logistic(keras.losses.Loss):
    """-log of the probability of each y (B, T, N), 0 or 1, under its logit."""

    def call(self, y_true, y_pred):
        """One value for each logit."""
        return _losses(y_true, y_pred)


def loss(prepared) -> keras.losses.Loss:
    """Logistic loss of each pair and each negative."""
    del prepared
    return Logistic(reduction=None)


def metrics(prepared) -> list[keras.metrics.Metric]:
    """How often pairs are distinguished from negatives; chance is 0.5."""
    return [Accuracy(prepared.pipeline.task_options["negatives_per_pair"])]


def signatures(entry, hparams, model, prepared) -> dict[str, Signature]:
    """`embed` and `neighbours` for clients; `score`, a row of running words, for evaluation."""
    del hparams
    words = model.get_layer(entry.features)
    more = prepared.pipeline.task_options["negatives_per_pair"]

    def score(words, negatives, target, weight):
        inputs = {"words": words, "negatives": negatives}
        logits = tf.cast(model(inputs, training=False), tf.float32)  # (B, T, N)
        even = _even(target, weight, more)
        summed = {
            "losses": _losses(target, logits) * weight,
            "weight": weight,
            "right": _right(target, logits, more) * even,
            "even": even,
        }
        return {"logits": logits} | {k: tf.reduce_sum(v, [1, 2]) for k, v in summed.items()}

    def scored(batch):
        return {**batch.x, "target": batch.y, "weight": batch.weight}

    target = Field((None, prepared.schema.outputs), "float32")
    fields = {**prepared.spec.inputs, "target": target, "weight": target}
    return {
        **word_vectors.signatures(
            prepared.preprocess,
            lambda: tf.convert_to_tensor(words.embeddings),
            lambda inputs: inputs["words"][:, 0],
        ),
        "score": Signature(score, fields, scored),
    }


def measured(answers, target) -> statistics.Statistics:
    """The metrics as sums over all logits."""
    del target
    return statistics.of_ratios(
        {
            "loss": (answers["losses"], answers["weight"]),
            "accuracy": (answers["right"], answers["even"]),
        }
    )


def vectors(prepared, weights) -> tuple[list[str], np.ndarray]:
    """The known words, and the vector of each: (words, width)."""
    known = vocabulary(prepared.state[f"inputs/{_FORM}"])
    return known, weights["word_embedding/embeddings"][1:]  # the first is of padding


def _losses(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(y, logits.dtype), logits)


def _right(y: tf.Tensor, logits: tf.Tensor, more: float) -> tf.Tensor:
    """1 where a logit has the sign of its y, at equal weights; half where it is 0."""
    logits += math.log(more)
    return 0.5 + 0.5 * tf.sign(logits) * tf.sign(tf.cast(y, logits.dtype) - 0.5)


def _even(y: tf.Tensor, weight: tf.Tensor, more: float) -> tf.Tensor:
    """Weights under which pairs and negatives weigh the same."""
    return tf.where(tf.cast(y, tf.bool), weight, weight / more)


TASK = Task(
    over=over,
    loss=loss,
    metrics=metrics,
    # One row has thousands of pairs. With a mean over them, each pair would move a vector by a
    # thousandth of a step, and what is learnt in an epoch would depend on the batch size.
    reduction="sum",
    signatures=signatures,
    measured="score",
    kept=("losses", "weight", "right", "even"),
    statistics=measured,
    vectors=vectors,
)
