"""Co-occurrence counts of words as rows (GloVe: Pennington et al. 2014, section 4.2)."""

import hashlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf
from scipy import sparse

from pipelines.core.keys import Keys
from pipelines.core.pipeline import DataError, Example, Form, Part, Rows, Table, Tensors
from pipelines.core.rows import CHUNK, chunks
from pipelines.core.specs import trace
from pipelines.steps.running_words import Words, fit
from pipelines.storage import arranged
from pipelines.storage.progress import progress
from zoo.spec import Field

_VERSION = 1  # of the entries on disk
_MAX_PAIRS = 2**23  # pairs that are added to the table at once
_BLOCK = 2**20  # entries that are written at once


class Pairs(tf.Module):
    """`preprocess` of a text field: its first two known words as a pair with the count 1.

    Training uses the table's entries instead, which `entries` counts.

    Args:
        part: from `running_words.fit`.
        field: name of the raw field.
        window: largest distance between two words.
        symmetric: whether words after a word are also its contexts.
    """

    def __init__(self, part: Part, field: str, window: int, symmetric: bool):
        super().__init__(name="pairs")
        self.words = Words(part, 2, field)
        self.window, self.symmetric = window, symmetric
        self.num_words = len(part["counts"])
        self.running = int(part["counts"].sum())  # words of the training texts

    def __call__(self, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        pair = self.words(raw)["words"]
        once = tf.ones_like(pair[:, 0], tf.float32)
        return {"pair": pair, "count": once, "scaled_count": once}


def pairs_form(vocab_size: int, min_count: int, window: int, symmetric: bool, field: str) -> Form:
    """One text field as `pair` (B, 2), ids of a word and a context, with their co-occurrence count.

    Args:
        vocab_size: largest number of known words.
        min_count: smallest count of a known word in the training texts.
        window: largest distance between two words of a pair.
        symmetric: whether words after a word are also its contexts.
        field: name of the raw field.
    """
    return Form(
        fit=lambda train: fit(train, field, vocab_size, min_count),
        make_preprocess=lambda part: Pairs(part, field, window, symmetric),
        fields=lambda part: {"pair": Field((2,), "int32", ids=len(part["counts"]) + 1)},
    )


def entries(rows: Rows, preprocess: Pairs) -> Rows:
    """A pipeline's `arrange`: the non-zero entries of the co-occurrence table.

    A row is `pair` (2,), `count`, and `scaled_count`, the count scaled to the number of words in
    the training texts. While it is counted, the table is in memory; the texts are not.

    Raises:
        DataError: no two known words occur near each other.
    """
    bare, blocks = rows._replace(target=None), _blocks(rows, preprocess)
    if rows.read is None:
        return arranged.in_memory(blocks, bare, {})
    words, window, symmetric = preprocess.words, preprocess.window, preprocess.symmetric
    options = window, symmetric, words.fingerprint, preprocess.running
    key = hashlib.sha256(repr((_VERSION, rows.identity, options)).encode()).hexdigest()[:16]
    return arranged.on_disk(blocks, bare, {}, key, as_many=False)


def weighted(x_max: float, alpha: float) -> Callable[[Mapping[str, Field], Part], Example]:
    """A pipeline's `make_example`: x is `pair`, y the logarithm of the scaled count.

    The weight is min(1, (count / x_max)^alpha) (equation 9).
    """

    def make_example(fields: Mapping[str, Field], part: Part) -> Example:
        del fields, part

        def example(inputs: Tensors, target: None, keys: Keys) -> tuple:
            del target, keys
            weight = tf.minimum(1.0, (inputs["count"] / x_max) ** alpha)
            return {"pair": inputs["pair"]}, tf.math.log(inputs["scaled_count"]), weight

        return example

    return make_example


def table(
    texts: Iterator[np.ndarray], num_words: int, window: int, symmetric: bool
) -> tuple[sparse.csr_matrix, int]:
    """How often the context of id j + 1 is near the word of id i + 1, and the number of all words.

    Two words at a distance d of at most `window` count 1/d; a context comes before its word.

    Args:
        texts: blocks (n,) of ids of running words, with a 0 after each text.
        symmetric: whether contexts also come after their word.

    Returns:
        (num_words, num_words) float64.
    """
    total = sparse.csr_matrix((num_words, num_words))
    words, pairs, size = 0, [], 0
    for ids in texts:
        words += int((ids > 0).sum())
        pairs += _pairs(ids, window)
        size += window * len(ids)
        if size > _MAX_PAIRS:
            total, pairs, size = total + _summed(pairs, num_words), [], 0
    total = total + _summed(pairs, num_words)
    return (total + total.T if symmetric else total).tocsr(), words


def _pairs(ids: np.ndarray, window: int) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """For each distance d: words, contexts d before them, both numbered from 0, and 1 / d."""
    text, pairs = np.cumsum(ids == 0), []
    for distance in range(1, min(window, len(ids) - 1) + 1):
        before, after = ids[:-distance], ids[distance:]
        near = (text[:-distance] == text[distance:]) & (before > 0) & (after > 0)
        pairs.append((after[near] - 1, before[near] - 1, 1 / distance))
    return pairs


def _summed(held: list, num_words: int) -> sparse.csr_matrix:
    if not held:
        return sparse.csr_matrix((num_words, num_words))
    words, contexts = (np.concatenate([part[i] for part in held]) for i in (0, 1))
    value = np.concatenate([np.full(len(part[0]), part[2]) for part in held])
    return sparse.coo_matrix((value, (words, contexts)), (num_words, num_words)).tocsr()


def _blocks(rows: Rows, preprocess: Pairs) -> Iterator[Table]:
    """All entries, by word and context."""
    words = preprocess.words
    raw = {words.field: tf.TensorSpec((None,), tf.string)}
    running = trace(lambda raw: words.all_tokens(raw).flat_values, raw)
    read = progress(chunks(rows), -(-rows.num_rows // CHUNK), "counting pairs of words")
    texts = (running({words.field: tf.constant(c[words.field])}).numpy() for c in read)
    counted, number = table(texts, preprocess.num_words, preprocess.window, preprocess.symmetric)
    if not counted.nnz:
        raise DataError("no two known words stand near each other in the texts of a split")
    counted = counted.tocoo()
    scale = preprocess.running / number
    for first in range(0, counted.nnz, _BLOCK):
        part = slice(first, first + _BLOCK)
        count = counted.data[part]
        yield {
            "pair": np.stack([counted.row[part], counted.col[part]], axis=1).astype(np.int32) + 1,
            "count": count.astype(np.float32),
            "scaled_count": (count * scale).astype(np.float32),
        }
