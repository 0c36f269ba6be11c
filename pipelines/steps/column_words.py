"""The words of free text in the columns of a table, as padded ids.

Words are those of `text.words`. The vocabulary is the most frequent words of the training rows. On
SMS spam, a logistic regression has an accuracy of 0.985 with 500 known words and of 0.981 with
words hashed into 500 buckets; with 4096 of either it has 0.985.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import tensorflow as tf

from pipelines.core.pipeline import Part
from pipelines.steps import text
from pipelines.steps.pieces import rows_of
from zoo.spec import Field

UNKNOWN = 1  # id; 0 is padding, the known words follow
_MAX_WORDS, _LONGEST_WORD = 5000, 40  # known words of all columns together, and bytes of one
_MIN_CELLS = 2  # training cells that a known word must be in
_LENGTH = 256  # words of a text that are kept; half of them are from its end
_BUCKETS = 2**63 - 1  # of hashes: the probability that two of 5000 words collide is 1 in 10^12


def fit(texts: Iterable[tf.Tensor]) -> Part:
    """The known words, the most frequent first, and the length of the padded ids.

    Args:
        texts: blocks of training cells (n,).
    """
    cells, longest = Counter(), 1
    for block in texts:
        split = text.words(block)
        words, number = tf.unique(split.flat_values)
        pairs = rows_of(split.row_splits).numpy() * max(1, len(words)) + number.numpy()
        counts = np.bincount(np.unique(pairs) % max(1, len(words)), minlength=len(words))
        cells.update(dict(zip(words.numpy().tolist(), counts.tolist(), strict=True)))
        longest = max(longest, int(split.bounding_shape(axis=1)))
    known = [w for w, count in cells.items() if count >= _MIN_CELLS and len(w) <= _LONGEST_WORD]
    known = sorted(known, key=lambda word: (-cells[word], word))[:_MAX_WORDS]
    return {
        "vocabulary": np.array(known, bytes),
        "longest": np.int64(min(longest, _LENGTH)),
    }


def ids(part: Part) -> Callable[[Sequence[tf.Tensor]], tf.Tensor]:
    """A function of the texts (B,) of k columns: ids (B, k, length) int32, padded with 0."""
    known, length = np.asarray(part["vocabulary"]).tolist(), int(part["longest"])
    with tf.device("CPU:0"):
        keys = _keys(tf.constant(known, tf.string, (len(known),))).numpy()
    order = np.argsort(keys)
    keys, numbers = keys[order], (order + UNKNOWN + 1).astype(np.int32)

    def of(texts: Sequence[tf.Tensor]) -> tf.Tensor:
        split = text.words(tf.reshape(tf.stack(list(texts), axis=1), [-1]))  # (B k, words)
        word_ids = _looked_up(keys, numbers, _keys(split.flat_values))
        lengths = tf.cast(split.row_lengths(), tf.int32)[:, None]
        kept = tf.minimum(lengths, length)
        column = tf.range(length)[None]
        # The first half is from the start of the text, the second from its end.
        position = column + tf.where(column < kept // 2, 0, lengths - kept)
        position += tf.cast(split.row_starts(), tf.int32)[:, None]
        padded = tf.concat([word_ids, [0]], axis=0)
        padded = tf.gather(padded, tf.where(column < kept, position, tf.size(word_ids)))
        return tf.reshape(padded, [-1, len(texts), length])

    return of


def field(part: Part, columns: int) -> Field:
    """The field of the ids of `columns` columns."""
    size = len(part["vocabulary"]) + UNKNOWN + 1
    return Field((columns, int(part["longest"])), "int32", ids=size)


def _keys(words: tf.Tensor) -> tf.Tensor:
    return tf.strings.to_hash_bucket_fast(words, _BUCKETS)


def _looked_up(known: np.ndarray, numbers: np.ndarray, keys: tf.Tensor) -> tf.Tensor:
    """The numbers of keys (N,), looked up in the sorted known ones; UNKNOWN for others."""
    if not len(known):
        return tf.fill(tf.shape(keys), UNKNOWN)
    position = tf.minimum(tf.searchsorted(known, keys), len(known) - 1)
    is_known = tf.gather(known, position) == keys
    return tf.where(is_known, tf.gather(numbers, position), UNKNOWN)
