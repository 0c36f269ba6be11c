"""The words of text columns in a network for tables: mean vectors, and a linear model beside it.

Ids are (B, t, L): t columns of L words, padded with 0, as the input form `columns` has them.
"""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops
from scipy import sparse

from zoo.spec import DataSpec

_SCALE = 0.1  # of a text in the network's scores, where fitted weights are to move slowly
_SHARES = (0.5, 1.0, 2.0, 4.0)  # of a text in the linear model; SMS spam takes 4, titles of art 1
_HELD_OUT = 5  # one row in five decides between them


def embed(
    ids: keras.KerasTensor, spec: DataSpec, *, width: int
) -> tuple[keras.KerasTensor, keras.KerasTensor, keras.KerasTensor]:
    """Means of the vectors of words, presence of texts, and scores of a linear model.

    Returns:
        (B, t width): the mean vector of the words of each text, zeros where there are none.
        (B, t): 1 where there are any.
        (B, outputs): the sum of scores of the words of each column, over the root of their number.
    """
    columns, size, outputs = ids.shape[1], spec.inputs["words"].ids, spec.num_outputs
    real = ops.cast(ids > 0, "float32")[..., None]  # (B, t, L, 1)
    number = ops.maximum(ops.sum(real, axis=2), 1.0)  # (B, t, 1)
    vectors = keras.layers.Embedding(size, width, "zeros", name="word_vectors")(ids)
    means = ops.sum(vectors * real, axis=2) / number
    own = ids + ops.arange(columns, dtype="int32")[:, None] * size  # of each column
    table = keras.layers.Embedding(
        columns * size, outputs, "zeros", dtype="float32", name="linear_words"
    )
    scores = ops.sum(table(own) * real, axis=2) * (_SCALE / ops.sqrt(number))  # (B, t, outputs)
    return ops.reshape(means, (-1, columns * width)), real[:, :, 0, 0], ops.sum(scores, axis=1)


def counts(ids: np.ndarray, size: int) -> sparse.csr_matrix:
    """How often each word is in each text, over the root of the text's words: (B, t size)."""
    root = np.sqrt(np.maximum((ids > 0).sum(axis=2), 1))  # (B, t)
    row, column, place = np.nonzero(ids)
    word = column * size + ids[row, column, place]
    shape = (len(ids), ids.shape[1] * size)
    return sparse.csr_matrix((1 / root[row, column], (row, word)), shape)


def fit_beside(
    fit: Callable, x: np.ndarray, words: sparse.csr_matrix, y: np.ndarray, outputs: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A linear model of numbers and words, whose penalty on words is chosen on rows held out.

    Args:
        fit: fit(x, y, outputs) -> kernel (features, outputs) and bias (outputs,).
        x: (B, features), as `words` from `counts`.
        y: as of `tabular.linear_start`.

    Returns:
        Kernel (features, outputs), bias (outputs,) and the table of `linear_words`.
    """
    asked = np.arange(len(y)) % _HELD_OUT == _HELD_OUT - 1
    tried = {}
    for share in _SHARES:
        whole = sparse.hstack([x, share * words], "csr")
        kernel, bias = fit(whole[~asked], y[~asked], outputs)
        tried[share] = _loss(whole[asked] @ kernel + bias, y[asked])
    best = min(tried, key=tried.get)
    kernel, bias = fit(sparse.hstack([x, best * words], "csr"), y, outputs)
    return kernel[: x.shape[1]], bias, kernel[x.shape[1] :] * (best / _SCALE)


def _loss(answers: np.ndarray, y: np.ndarray) -> float:
    """Cross-entropy of logits (B, outputs), or mean square error of standardised numbers."""
    if y.ndim == 1 and not np.issubdtype(y.dtype, np.integer):
        return float(np.mean((answers[:, 0] - (y - y.mean()) / (y.std() or 1.0)) ** 2))
    if y.ndim == 1 and answers.shape[1] > 1:
        own = answers[np.arange(len(y)), y]
        return float(np.mean(np.logaddexp.reduce(answers, axis=1) - own))
    label = y.reshape(answers.shape)
    return float(np.mean(np.logaddexp(0.0, answers) - label * answers))
