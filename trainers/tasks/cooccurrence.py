"""Word vectors, from how often words are near each other (Pennington et al. 2014).

Validation and test have tables of their own texts, with counts scaled to the number of words in
training. With few texts only frequent pairs have an accurate count, so that their loss is above
that of training.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from pipelines.steps.cooccurrence import entries, pairs_form, weighted
from pipelines.steps.running_words import vocabulary
from trainers.evaluation import statistics
from trainers.serving import word_vectors
from trainers.tasks.registry import Signature, Task, check_is_text
from zoo.spec import Field

METRICS = ("loss", "mean_absolute_error")
LOWER_IS_BETTER = ("loss", "mean_absolute_error")
MAIN_METRIC = "mean_absolute_error"
LABELS = False
# window: largest distance between two words; symmetric: on both sides, else only before a word.
# Pairs with a count below x_max have less weight, (count / x_max)^alpha.
OPTIONS = {
    "vocab_size": 30_000,
    "min_count": 5,
    "window": 10,
    "symmetric": True,
    "x_max": 10.0,
    "alpha": 0.75,
}
LIMITS = {
    "vocab_size": (1, None),
    "min_count": (1, None),
    "window": (1, 100),
    "x_max": (0.01, None),
    "alpha": (0, 10),
}
_FORM = "pairs"
_TABLES = ("word_embedding", "context_embedding")


def over(pipeline, schema, *, vocab_size, min_count, window, symmetric, x_max, alpha):
    """The pipeline as the entries of its co-occurrence table, with the logarithm of each as y.

    Raises:
        UsageError: the data is not text.
    """
    check_is_text("cooccurrence", pipeline, schema)
    [field] = schema.raw
    pipeline = dataclasses.replace(
        pipeline,
        forms={_FORM: pairs_form(vocab_size, min_count, window, symmetric, field)},
        make_example=weighted(x_max, alpha),
        arrange=entries,
    )
    return pipeline, schema._replace(target=None, class_names=(), outputs=1)


def loss(prepared) -> keras.losses.Loss:
    """Squared error of the logarithm of a count, outputs (B, 1)."""
    del prepared
    return keras.losses.MeanSquaredError(reduction=None)


def metrics(prepared) -> list[keras.metrics.Metric]:
    """Mean absolute error of the logarithms of counts: 0.7 is a factor of two."""
    del prepared
    return [keras.metrics.MeanAbsoluteError(name="mean_absolute_error")]


def signatures(entry, hparams, model, prepared) -> dict[str, Signature]:
    """`embed` and `neighbours` for clients; `score`, of pairs by their ids, for evaluation."""
    del entry, hparams
    words, contexts = (model.get_layer(name) for name in _TABLES)

    def score(pair, target, weight):
        logits = tf.cast(model({"pair": pair}, training=False), tf.float32)  # (B, 1)
        error = logits[:, 0] - target
        squared, absolute = weight * tf.square(error), weight * tf.abs(error)
        return {"logits": logits, "squared": squared, "absolute": absolute, "weight": weight}

    def scored(batch):
        return {**batch.x, "target": batch.y, "weight": batch.weight}

    number = Field((), "float32")
    fields = {**prepared.spec.inputs, "target": number, "weight": number}
    return {
        **word_vectors.signatures(
            prepared.preprocess.words,
            lambda: words.embeddings + contexts.embeddings,
            lambda inputs: inputs["pair"][:, 0],
        ),
        "score": Signature(score, fields, scored),
    }


def measured(answers, target) -> statistics.Statistics:
    """The metrics as weighted means over all entries."""
    del target
    names = {"loss": "squared", "mean_absolute_error": "absolute"}
    return statistics.of_ratios({k: (answers[v], answers["weight"]) for k, v in names.items()})


def vectors(prepared, weights) -> tuple[list[str], np.ndarray]:
    """The known words, and the sum of both vectors of each (section 4.2): (words, width)."""
    word, context = (weights[f"{name}/embeddings"] for name in _TABLES)
    return vocabulary(prepared.state[f"inputs/{_FORM}"]), (word + context)[1:]  # 0 is padding


TASK = Task(
    over=over,
    loss=loss,
    metrics=metrics,
    # The published rate is for a step per entry. Adagrad's accumulators begin at 1, beside which
    # the squares of a batch's mean gradients would be next to nothing.
    reduction="sum",
    signatures=signatures,
    measured="score",
    kept=("squared", "absolute", "weight"),
    statistics=measured,
    vectors=vectors,
)
