"""Shared by the tokenizers: special pieces, longest match in a tree of pieces, layout of ids."""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import tensorflow as tf

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # ids 0 to 4
UNKNOWN, CLASSIFY = 1, 2
_END = "\0"  # after every word; no word has one


class Codec(Protocol):
    """Encodes texts as ids of pieces of a learnt vocabulary, and decodes them."""

    def encode(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """All ids of texts (B,) of any bytes, without special ones: (B, pieces) int32."""

    def decode(self, ids: tf.Tensor) -> tf.Tensor:
        """Texts (B,) of ids (B, T), which may be ragged; special ones are left out."""


def of_words(
    words: tf.RaggedTensor, cut: Callable[[tf.Tensor], tf.RaggedTensor]
) -> tf.RaggedTensor:
    """Ids of the pieces of each text's words: (B, words) to (B, pieces) int32.

    Args:
        cut: distinct words (W,) to their pieces (W, pieces).
    """
    distinct, index = tf.unique(words.flat_values)
    of_word = tf.gather(cut(distinct), index)  # (words, pieces)
    return words.with_flat_values(of_word).merge_dims(1, 2)


def tokens(pieces: tf.RaggedTensor, max_length: int) -> tf.Tensor:
    """Ids of the pieces of texts (B, pieces), [CLS] before them: (B, max_length), padded with 0.

    Longer texts lose their middle, since the end of a review or a question matters as much as its
    beginning (Sun et al. 2019, section 5.3.1).
    """
    length = tf.cast(pieces.row_lengths(), tf.int32)[:, None]  # (B, 1)
    kept = tf.minimum(length, max_length - 1)
    column = tf.range(max_length - 1)[None]  # (1, max_length - 1)
    # The first half of the output is from the start of the text, the second from its end.
    position = column + tf.where(column < kept // 2, 0, length - kept)
    position += tf.cast(pieces.row_starts(), tf.int32)[:, None]
    # One gather: with TensorFlow's ragged operations tokenizing takes twice as long.
    padded = tf.concat([pieces.flat_values, [0]], axis=0)
    last = tf.size(pieces.flat_values)
    ids = tf.gather(padded, tf.where(column < kept, position, last))
    start = tf.fill([tf.shape(ids)[0], 1], CLASSIFY)
    return tf.concat([start, ids], axis=1)


class LongestMatch(tf.Module):
    """Words (W,) to the longest pieces from the left: (W, pieces) int32; [UNK] where none begins.

    Args:
        ids: piece -> id; pieces that begin a word have `mark` before them.
        mark: one character.
    """

    def __init__(self, ids: Mapping[str, int], mark: str):
        super().__init__(name="longest_match")
        self._mark = mark
        self._whole = table(np.array(list(ids), object), np.array(list(ids.values()), np.int32))
        edges, self._piece_at, self._size_at = _trie(ids)
        self._edges = table(np.array(list(edges)), np.array(list(edges.values()), np.int32))

    def __call__(self, word: tf.Tensor) -> tf.RaggedTensor:
        word = tf.strings.join([self._mark, word])
        # Most words are a single piece; only the others are looked at character by character.
        whole = self._whole.lookup(word)
        ones, cut = (tf.cast(tf.where(mask)[:, 0], tf.int32) for mask in (whole >= 0, whole < 0))
        text = tf.strings.join([tf.gather(word, cut), _END])
        split = tf.strings.unicode_decode(text, "UTF-8")  # (cut, characters)
        begin = tf.cast(split.row_starts(), tf.int32)
        piece, size = self._longest(split.flat_values)
        position = _path(begin, size)  # of the pieces
        row = tf.searchsorted(begin, position, side="right") - 1
        ids = tf.concat([tf.gather(whole, ones), tf.gather(piece, position)], axis=0)
        owner = tf.cast(tf.concat([ones, tf.gather(cut, row)], axis=0), tf.int64)
        # By word, and by position within a word.
        position = tf.cast(tf.concat([tf.zeros_like(ones), position], axis=0), tf.int64)
        order = tf.argsort(owner * tf.size(size, tf.int64) + position, stable=True)
        return by_row(tf.gather(ids, order), tf.gather(owner, order), tf.size(word, tf.int64))

    def _longest(self, characters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The longest piece that begins at each of the characters (N,), and its size: (N,) int32.

        If there is none, [UNK] of size 1; at the end of a word, size 0.
        """

        def one_character_on(position, node, begin, deepest):
            character = tf.cast(tf.gather(characters, position), tf.int64)
            node = self._edges.lookup(_edge(tf.cast(node, tf.int64), character))
            alive = tf.where(node >= 0)[:, 0]
            position, node, begin = (tf.gather(c, alive) for c in (position, node, begin))
            deepest = tf.tensor_scatter_nd_update(deepest, begin[:, None], node)
            return position + 1, node, begin, deepest

        positions = tf.range(tf.size(characters))
        *_, deepest = tf.while_loop(
            lambda position, *_: tf.size(position) > 0,
            one_character_on,
            (positions, tf.zeros_like(positions), positions, tf.zeros_like(positions)),
            shape_invariants=(tf.TensorShape([None]),) * 4,
        )
        size = tf.gather(self._size_at, deepest)
        return tf.gather(self._piece_at, deepest), tf.where(characters == 0, 0, size)


def by_row(values: tf.Tensor, row: tf.Tensor, num_rows: tf.Tensor) -> tf.RaggedTensor:
    """Values (N,) of ascending rows (N,) int64 as (num_rows, values).

    Without assertions, which keep all that they depend on in a graph that needs no tokens.
    """
    return tf.RaggedTensor.from_value_rowids(values, row, nrows=num_rows, validate=False)


def boolean_mask(rows: tf.RaggedTensor, kept: tf.Tensor) -> tf.RaggedTensor:
    """The rows, with only those of their values (N,) where `kept` is true.

    TensorFlow's `ragged.boolean_mask` takes the memory of all rows padded to the longest one.
    """
    values = tf.boolean_mask(rows.flat_values, kept)
    splits = splits_of(kept, rows.row_splits)
    return tf.RaggedTensor.from_row_splits(values, splits, validate=False)


def splits_of(kept: tf.Tensor, splits: tf.Tensor) -> tf.Tensor:
    """The row splits after values (N,) where `kept` is false were removed."""
    before = tf.concat([[0], tf.cumsum(tf.cast(kept, tf.int64))], axis=0)
    return tf.gather(before, splits)


def rows_of(splits: tf.Tensor) -> tf.Tensor:
    """The row of each value (N,) int64 of rows with these splits.

    TensorFlow's `value_rowids` and `repeat` take the memory of all rows padded to the longest one.
    """
    starts = splits[1:-1, None]
    marks = tf.scatter_nd(starts, tf.ones_like(starts[:, 0]), [splits[-1] + 1])
    return tf.cumsum(marks)[:-1]


def table(keys: np.ndarray, values: np.ndarray) -> tf.lookup.StaticHashTable:
    """A lookup table of these keys; any other key has the value -1."""
    initializer = tf.lookup.KeyValueTensorInitializer(tf.constant(keys), tf.constant(values))
    return tf.lookup.StaticHashTable(initializer, default_value=-1)


def _path(begin: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """The positions of successive pieces from each beginning on: (pieces,), in any order.

    By pointer doubling, so that a word of a million characters takes 20 rounds: after k of them
    2^k pieces of each word are known, and for each character the position 2^k pieces further.

    Args:
        begin: (words,) positions of their first characters.
        size: (N,) of the piece at each character; 0 at the end of a word.
    """

    def doubled(reached, jump):
        further = tf.gather(jump, reached)
        inside = tf.where(tf.gather(size, further) > 0)[:, 0]
        return tf.concat([reached, tf.gather(further, inside)], axis=0), tf.gather(jump, jump)

    reached, _ = tf.while_loop(
        lambda _, jump: tf.reduce_any(tf.gather(size, jump) > 0),
        doubled,
        (begin, tf.range(tf.size(size)) + size),
        shape_invariants=(tf.TensorShape([None]),) * 2,
    )
    return reached


def _trie(ids: Mapping[str, int]) -> tuple[dict[int, int], np.ndarray, np.ndarray]:
    """The pieces as a tree of characters: {edge: node}, and for each node a piece and its size.

    That is the longest piece on the path to the node, or [UNK] of size 1. The root is node 0.
    """
    edges: dict[int, int] = {}
    parents, ends = [0], {}
    for piece, i in ids.items():
        node = 0
        for character in piece:
            parent, edge = node, _edge(node, ord(character))
            node = edges.setdefault(edge, len(parents))
            if node == len(parents):
                parents.append(parent)
        ends[node] = (i, len(piece))
    longest = [(UNKNOWN, 1)]
    for node in range(1, len(parents)):
        longest.append(ends.get(node, longest[parents[node]]))
    piece, size = np.array(longest, np.int32).T
    return edges, piece, size


def _edge(node, character):
    """The key of a node's edge: Unicode has less than 2^21 characters."""
    return node * 2**21 + character
