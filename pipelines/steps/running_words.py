"""The input form `words`: ids of the known words of running text, most frequent words first.

Words are those of `text.words`. Unknown words are left out, so that the known ones around them
become neighbours, as in word2vec (Mikolov et al. 2013).
"""

import hashlib
from collections import Counter

import numpy as np
import tensorflow as tf

from pipelines.core.pipeline import DataError, Form, Part, Rows
from pipelines.core.rows import CHUNK, chunks
from pipelines.core.specs import trace
from pipelines.steps import text
from pipelines.steps.pieces import boolean_mask
from pipelines.storage.progress import progress
from zoo.spec import Field


def fit(train: Rows, field: str, vocab_size: int, min_count: int) -> Part:
    """The known words and how often each is in the training texts.

    Args:
        field: the column of texts.
        vocab_size: largest number of words, the most frequent; ties go to the first by bytes.
        min_count: smallest count of a known word.

    Returns:
        `vocabulary`: UTF-8 with a line feed after each word (an array of strings would give each
        the size of the longest); `counts` (words,) int64; and the options.

    Raises:
        DataError: no word is that frequent.
    """
    count = trace(_counted, tf.TensorSpec((None,), tf.string))
    total: Counter[bytes] = Counter()
    read = progress(chunks(train), -(-train.num_rows // CHUNK), "counting words")
    for chunk in read:
        distinct, number = count(tf.constant(chunk[field]))
        total.update(dict(zip(distinct.numpy().tolist(), number.numpy().tolist(), strict=True)))
    enough = [(-number, word) for word, number in total.items() if number >= min_count]
    known = sorted(enough)[:vocab_size]
    if not known:
        raise DataError(f"no word is {min_count} times in the training texts (min_count)")
    return {
        "vocabulary": np.frombuffer(b"".join(word + b"\n" for _, word in known), np.uint8),
        "counts": -np.array([number for number, _ in known], np.int64),
        "vocab_size": np.int64(vocab_size),
        "min_count": np.int64(min_count),
    }


def vocabulary(part: Part) -> list[str]:
    """The known words; the one with id i has the index i - 1."""
    return part["vocabulary"].tobytes().decode().split("\n")[:-1]


class Words(tf.Module):
    """`preprocess` of a text field: strings (B,) to `words` (B, length) int32, padded with 0.

    Args:
        part: from `fit`.
        length: of the output; longer texts lose their end.
        field: name of the raw field.
    """

    def __init__(self, part: Part, length: int, field: str):
        super().__init__(name="words")
        known = vocabulary(part)
        ids = tf.range(1, len(known) + 1, dtype=tf.int32)
        initializer = tf.lookup.KeyValueTensorInitializer(tf.constant(known), ids)
        self._ids = tf.lookup.StaticHashTable(initializer, default_value=0)
        self._known = tf.constant(["", *known])
        self.field = field
        self.max_length = length
        self.fingerprint = hashlib.sha256(part["vocabulary"].tobytes()).hexdigest()

    def __call__(self, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        ids = self._of(raw[self.field])
        return {"words": ids.to_tensor(shape=(None, self.max_length))}

    def all_tokens(self, raw: dict[str, tf.Tensor]) -> tf.RaggedTensor:
        """All known words of each text, and a 0 that ends it: (B, words) int32."""
        ids = self._of(raw[self.field])
        return tf.concat([ids, tf.zeros([ids.nrows(), 1], tf.int32)], axis=1)

    def ids_of(self, word: tf.Tensor) -> tf.Tensor:
        """Ids (B,) int32 of texts (B,) that are one known word each; 0 for others."""
        split = text.words(word)
        first = self._ids.lookup(split.to_tensor(shape=(None, 1))[:, 0])
        return tf.where(split.row_lengths() == 1, first, 0)

    def texts_of(self, ids: tf.Tensor) -> tf.Tensor:
        """The words of ids (...); the empty text for 0."""
        return tf.gather(self._known, ids)

    def _of(self, texts: tf.Tensor) -> tf.RaggedTensor:
        split = text.words(texts)
        ids = self._ids.lookup(split.flat_values)
        return boolean_mask(split.with_flat_values(ids), ids > 0)


def words_form(vocab_size: int, min_count: int, length: int, field: str) -> Form:
    """One text field as `words` (B, length), with a vocabulary from the training rows.

    Args:
        vocab_size: largest number of known words.
        min_count: smallest count of a known word in the training texts.
        length: of a row.
        field: name of the raw field.
    """

    def fields(part: Part) -> dict[str, Field]:
        ids = len(part["counts"]) + 1
        return {"words": Field((length,), "int32", ids=ids, length=length)}

    return Form(
        fit=lambda train: fit(train, field, vocab_size, min_count),
        make_preprocess=lambda part: Words(part, length, field),
        fields=fields,
    )


def _counted(texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The distinct words of texts (B,), and how often each occurs."""
    distinct, _, number = tf.unique_with_counts(text.words(texts).flat_values, tf.int64)
    return distinct, number
