"""Text columns in the network for tables: mean word vectors, and a linear model of words.

Ids are (B, t, L): t columns of L words, padded with 0, as in the input form `columns`.
"""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops
from scipy import sparse

from zoo.spec import DataSpec

_SCALE = 0.1  # of the linear word scores in the network, so that fitted weights move slowly
_WORD_WEIGHTS = (0.5, 1.0, 2.0, 4.0)  # in the linear model: SMS spam takes 4, art titles 1
_HELD_OUT = 5  # one row in five is held out to choose between them


def embed(
    ids: keras.KerasTensor, spec: DataSpec, *, width: int
) -> tuple[keras.KerasTensor, keras.KerasTensor, keras.KerasTensor]:
    """Mean word vectors, presence of texts, and scores of a linear model.

    Returns:
        (B, t width): the mean vector of the words of each text, zeros where there are none.
        (B, t): 1 where the text has words.
        (B, outputs): the scores of each column's words over the square root of their number, added.
    """
    columns, size, outputs = ids.shape[1], spec.inputs["words"].ids, spec.num_outputs
    real = ops.cast(ids > 0, "float32")[..., None]  # (B, t, L, 1)
    number = ops.maximum(ops.sum(real, axis=2), 1.0)  # (B, t, 1)
    vectors = keras.layers.Embedding(size, width, "zeros", name="word_vectors")(ids)
    means = ops.sum(vectors * real, axis=2) / number
    rows = ids + ops.arange(columns, dtype="int32")[:, None] * size  # a range per column
    table = keras.layers.Embedding(
        columns * size, outputs, "zeros", dtype="float32", name="linear_words"
    )
    scores = ops.sum(table(rows) * real, axis=2) * (_SCALE / ops.sqrt(number))  # (B, t, outputs)
    return ops.reshape(means, (-1, columns * width)), real[:, :, 0, 0], ops.sum(scores, axis=1)


def counts(ids: np.ndarray, size: int) -> sparse.csr_matrix:
    """Word counts of each text over the square root of its number of words: (B, t size)."""
    root = np.sqrt(np.maximum((ids > 0).sum(axis=2), 1))  # (B, t)
    row, column, position = np.nonzero(ids)
    feature = column * size + ids[row, column, position]
    shape = (len(ids), ids.shape[1] * size)
    return sparse.csr_matrix((1 / root[row, column], (row, feature)), shape)


def fit_beside(
    fit: Callable, x: np.ndarray, words: sparse.csr_matrix, y: np.ndarray, outputs: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A linear model of numbers and words, whose penalty on words is chosen on held-out rows.

    Args:
        fit: fit(x, y, outputs) -> kernel (features, outputs) and bias (outputs,).
        x: (B, features); `words` are the result of `counts`.
        y: targets, as in `tabular.linear_start`.

    Returns:
        Kernel (features, outputs), bias (outputs,) and the table of `linear_words`.
    """
    held_out = np.arange(len(y)) % _HELD_OUT == _HELD_OUT - 1
    losses = {}
    for weight in _WORD_WEIGHTS:
        features = sparse.hstack([x, weight * words], "csr")
        kernel, bias = fit(features[~held_out], y[~held_out], outputs)
        losses[weight] = _loss(features[held_out] @ kernel + bias, y[held_out])
    best = min(losses, key=losses.get)
    kernel, bias = fit(sparse.hstack([x, best * words], "csr"), y, outputs)
    return kernel[: x.shape[1]], bias, kernel[x.shape[1] :] * (best / _SCALE)


def _loss(answers: np.ndarray, y: np.ndarray) -> float:
    """Cross-entropy of logits (B, outputs), or mean squared error of standardised numbers."""
    if y.ndim == 1 and not np.issubdtype(y.dtype, np.integer):
        return float(np.mean((answers[:, 0] - (y - y.mean()) / (y.std() or 1.0)) ** 2))
    if y.ndim == 1 and answers.shape[1] > 1:
        true_logits = answers[np.arange(len(y)), y]
        return float(np.mean(np.logaddexp.reduce(answers, axis=1) - true_logits))
    label = y.reshape(answers.shape)
    return float(np.mean(np.logaddexp(0.0, answers) - label * answers))
