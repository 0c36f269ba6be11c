"""A linear model over the n-grams of a text, with naive-Bayes weighting: the first to try on texts.

Wang and Manning 2012, "Baselines and Bigrams: Simple, Good Sentiment and Topic Classification";
here with the logistic loss, early stopping in place of a penalty, and Adagrad, which reads and
writes only the weights of a batch's n-grams.
"""

from collections.abc import Iterator

import keras
import numpy as np
from keras import ops

import zoo
from zoo.spec import DataSpec, Recipe

_SCALE = 10.0  # of a text's weighted n-grams, so that small weights make large logits


def log_count_ratios(
    model: keras.Model, batches: Iterator[tuple[dict[str, np.ndarray], np.ndarray]]
) -> dict[str, np.ndarray]:
    """The log-count ratio of each n-gram for each output, and the initial bias.

    With p the number of texts of a class that have the n-gram, plus one, and q the same for the
    other texts, the ratio is log(p / sum of p) - log(q / sum of q). The bias is the log-odds of the
    class, or the logarithm of its fraction where there are more than two classes. A numeric target
    has no classes: its ratios stay 1.

    Args:
        batches: (inputs, y) of the training rows: classes (B,), or labels of 0 or 1, (B, outputs).
    """
    ratio, bias = (model.get_layer(name).weights[0] for name in ("ratio", "logits"))
    size, outputs = ratio.shape
    having, every = np.zeros((outputs, size)), np.zeros(size)  # texts with each n-gram
    members, rows = np.zeros(outputs), 0
    exclusive = False
    for inputs, y in batches:
        if y.ndim == 1 and not np.issubdtype(y.dtype, np.integer):
            return {}
        exclusive = y.ndim == 1 and outputs > 1
        member = y[:, None] == np.arange(outputs) if exclusive else y.reshape(len(y), -1) > 0
        row, column = np.nonzero(inputs["ngrams"])
        ids = inputs["ngrams"][row, column]
        every += np.bincount(ids, minlength=size)
        for output in range(outputs):
            having[output] += np.bincount(ids[member[row, output]], minlength=size)
        members, rows = members + member.sum(axis=0), rows + len(y)
    p, q = 1 + having[:, 1:], 1 + every[1:] - having[:, 1:]  # (outputs, n-grams); 0 is padding
    ratios = np.log(p / p.sum(axis=1, keepdims=True)) - np.log(q / q.sum(axis=1, keepdims=True))
    # One extra text, so that a class without texts has a finite bias.
    start = np.log((members + 1) / (rows + outputs if exclusive else rows - members + 1))
    return {
        ratio.path: np.pad(ratios.T, [(1, 0), (0, 0)]).astype(np.float32),
        bias.path: start[None].astype(np.float32),
    }


@zoo.register(
    Recipe(
        pipeline="imdb",
        batch_size=0,
        epochs=10,
        optimizer="adagrad",
        optimizer_options={"initial_accumulator_value": 1e-6},
        learning_rate=0.04,
        early_stopping=2,
        keep="best",
        monitor="loss",
        precision="float32",
    ),
    name="text_ngram",
    tiny={},
    inputs="ngrams",
    adapt=log_count_ratios,
    parameters=1_600_003,
)
def text_ngram(spec: DataSpec) -> keras.Model:
    """Logistic regression on a text's n-grams, each weighted by its log-count ratio in training.

    Raises:
        ValueError: the data is not in the input form `ngrams`.
    """
    if set(spec.inputs) != {"ngrams"}:
        raise ValueError(
            f"text_ngram takes the input form ngrams, the data has {dict(spec.inputs)}"
        )
    inputs = zoo.keras_inputs(spec)
    ids, size = inputs["ngrams"], spec.inputs["ngrams"].ids  # (B, T), 0 is padding
    real = ops.cast(ops.not_equal(ids, 0), "float32")[..., None]  # (B, T, 1)
    ratio = keras.layers.Embedding(size, spec.num_outputs, "ones", trainable=False, name="ratio")
    # Starts at zero: a convex loss needs no random start, and an n-gram that never occurs in
    # training keeps the weight zero.
    weight = keras.layers.Embedding(size, spec.num_outputs, "zeros", name="weight")
    x = ops.cast(ratio(ids), "float32") * real  # (B, T, outputs)
    norm = ops.sqrt(ops.maximum(ops.sum(ops.square(x), axis=1), 1e-6))  # (B, outputs)
    score = ops.sum(x * ops.cast(weight(ids), "float32"), axis=1) / norm  # (B, outputs)
    bias = keras.layers.Dense(
        spec.num_outputs, use_bias=False, kernel_initializer="zeros", dtype="float32", name="logits"
    )
    logits = _SCALE * score + bias(ops.ones_like(real[:, 0]))  # (B, outputs)
    return keras.Model(inputs, logits, name="text_ngram")
