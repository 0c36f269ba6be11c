"""Signatures over a table of word vectors: a word's vector, and the words near it."""

from collections.abc import Callable

import tensorflow as tf

from trainers.tasks.registry import Batch, Signature
from zoo.spec import Field

_NEAREST = 10
_WORD = {"word": Field((), "string")}


def signatures(words, table: Callable[[], tf.Tensor], first: Callable) -> dict[str, Signature]:
    """`embed`, which is also `serving_default`, and `neighbours`, of words as texts (B,).

    A text that is not one known word has a vector of zeros and no neighbours.

    Args:
        words: pipelines.steps.running_words.Words.
        table: () -> (ids, width), the vector of each word.
        first: (inputs of a batch) -> (B,) ids of example words.
    """

    def embed(word: tf.Tensor) -> dict[str, tf.Tensor]:
        ids = words.ids_of(word)
        known = ids > 0
        return {"vector": tf.where(known[:, None], tf.gather(table(), ids), 0.0), "known": known}

    def neighbours(word: tf.Tensor) -> dict[str, tf.Tensor]:
        ids = words.ids_of(word)
        unit = tf.math.l2_normalize(table(), axis=1)  # (ids, width)
        cosine = tf.matmul(tf.gather(unit, ids), unit, transpose_b=True)  # (B, ids)
        every = tf.range(tf.shape(unit)[0])[None]
        cosine = tf.where((every == ids[:, None]) | (every == 0), -2.0, cosine)
        cosine, index = tf.math.top_k(cosine, min(_NEAREST, unit.shape[0] - 1))
        valid = (ids[:, None] > 0) & (cosine > -2.0)
        return {
            "words": tf.where(valid, words.texts_of(index), ""),
            "cosine": tf.where(valid, cosine, 0.0),
        }

    def arguments(batch: Batch) -> dict[str, tf.Tensor]:
        return {"word": words.texts_of(first(batch.inputs))}

    embedding = Signature(embed, _WORD, arguments)
    return {
        "serving_default": embedding,
        "embed": embedding,
        "neighbours": Signature(neighbours, _WORD, arguments),
    }
