"""Byte-level byte-pair encoding in TensorFlow operations only: any text, and back without loss.

As in GPT-2 (Radford et al. 2019): texts are cut into words, and in each word, beginning with its
bytes, the pair of neighbours that was learnt first is merged, repeatedly (Sennrich et al. 2016).
"""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from pipelines.core.specs import trace
from pipelines.steps import byte_words, merges
from pipelines.steps.pieces import SPECIAL, by_row, of_words, rows_of, table

BYTES = len(SPECIAL)  # the id of byte 0
MIN_VOCAB_SIZE = BYTES + 256  # number of ids without any merge
_NONE = np.iinfo(np.int32).max  # stands for a pair that is not merged
_SHORT = 64  # bytes; if a word is longer, all safe pairs (`_safe`) are merged in each round


def learn(texts: Iterable[np.ndarray], vocab_size: int) -> np.ndarray:
    """Merges (M, 2) int32 of ids; merge i gives the piece with the id 261 + i.

    The same texts give the same merges.

    Args:
        texts: arrays (N,) of byte strings.
        vocab_size: largest number of ids: special pieces, bytes and merges.

    Raises:
        DataError: the package `tokenizers` is not installed.
    """
    alphabet = [byte_words.to_characters(bytes([byte])) for byte in range(256)]
    words = merges.counted(texts, byte_words.words)
    learnt = merges.learn(words, vocab_size - MIN_VOCAB_SIZE, alphabet)
    ids = {character: BYTES + byte for byte, character in enumerate(alphabet)}
    for left, right in learnt:
        ids[left + right] = MIN_VOCAB_SIZE + len(ids) - 256
    pairs = [(ids[left], ids[right]) for left, right in learnt]
    return np.array(pairs, np.int32).reshape(-1, 2)


def pieces(merged: np.ndarray) -> list[bytes]:
    """The bytes of each id; special pieces have none."""
    contents = [b""] * BYTES + [bytes([byte]) for byte in range(256)]
    for left, right in merged.tolist():
        contents.append(contents[left] + contents[right])
    return contents


def decode(merged: np.ndarray, ids: np.ndarray) -> bytes:
    """The text of ids (T,), without special pieces."""
    known = pieces(merged)
    return b"".join(known[i] for i in np.asarray(ids).tolist())


class BytePieces(tf.Module):
    """The codec of merges from `learn`."""

    def __init__(self, merged: np.ndarray):
        super().__init__(name="byte_pieces")
        known = pieces(merged)
        self._bytes = tf.constant(known)
        self._reach = max(map(len, known))  # bytes of the longest piece
        pair = merged.astype(np.int64)
        ids = np.arange(MIN_VOCAB_SIZE - 1, MIN_VOCAB_SIZE + len(merged), dtype=np.int32)
        # No pair has the first key: a table cannot be empty.
        self._merges = table(np.append(-2, _pair(pair[:, 0], pair[:, 1])), ids)
        self._whole = table(*self._alone(known))

    def encode(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """All ids of texts (B,) of any bytes: (B, pieces) int32."""
        return of_words(byte_words.words(texts), self._pieces_of)

    def decode(self, ids: tf.Tensor) -> tf.Tensor:
        """Texts (B,) of ids (B, T), which may be ragged; special ones have no bytes."""
        return tf.strings.reduce_join(tf.gather(self._bytes, ids), axis=-1)

    def _alone(self, known: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """Pieces that stay whole when they are a word, written by `to_characters`, and their ids.

        A piece learnt within a longer word may be cut differently when it is a word itself.
        """
        written = [byte_words.to_characters(content) for content in known[BYTES:]]
        cut = trace(self._merged, tf.TensorSpec((None,), tf.string))(tf.constant(written))
        single = cut.row_lengths().numpy() == 1
        ids = np.arange(BYTES, len(known), dtype=np.int32)
        return np.array(written, object)[single], ids[single]

    def _pieces_of(self, word: tf.Tensor) -> tf.RaggedTensor:
        """Ids of the pieces of words (W,), written by `to_characters`: (W, pieces) int32."""
        whole = self._whole.lookup(word)
        ones, cut = tf.where(whole >= 0)[:, 0], tf.where(whole < 0)[:, 0]
        merged = self._merged(tf.gather(word, cut))
        ids = tf.concat([tf.gather(whole, ones), merged.flat_values], axis=0)
        owner = tf.concat([ones, tf.gather(cut, merged.value_rowids())], axis=0)
        order = tf.argsort(owner, stable=True)
        return by_row(tf.gather(ids, order), tf.gather(owner, order), tf.size(word, tf.int64))

    def _merged(self, word: tf.Tensor) -> tf.RaggedTensor:
        """The same by merging in rounds over all words: at most one for each pair of a word."""
        split = tf.strings.unicode_decode(word, "UTF-8")
        row = tf.cast(rows_of(split.row_splits), tf.int32)
        ids = BYTES + tf.gather(tf.constant(byte_words.BYTE), split.flat_values)
        size = tf.size(word)
        long = tf.reduce_any(split.row_lengths() > _SHORT)

        def round_of(position, piece, done):
            """The symbols of unfinished words: positions of their first bytes, and ids."""
            owner = tf.gather(row, position)
            merged = self._made(piece, owner)
            lowest = tf.gather(tf.math.unsorted_segment_min(merged, owner, size), owner)
            finished = lowest == _NONE
            done = tf.tensor_scatter_nd_update(
                done, tf.boolean_mask(position, finished)[:, None], tf.boolean_mask(piece, finished)
            )
            joined = _joined(merged, ~finished & (merged == lowest) | self._safe(merged, long))
            remaining = ~(finished | tf.concat([[False], joined[:-1]], axis=0))
            piece = tf.where(joined, merged, piece)
            return tf.boolean_mask(position, remaining), tf.boolean_mask(piece, remaining), done

        *_, done = tf.while_loop(
            lambda position, *_: tf.size(position) > 0,
            round_of,
            (tf.range(tf.size(ids)), ids, tf.zeros_like(ids)),
            shape_invariants=(tf.TensorShape([None]),) * 3,
        )
        kept = tf.where(done > 0)[:, 0]
        row = tf.cast(tf.gather(row, kept), tf.int64)
        return by_row(tf.gather(done, kept), row, tf.cast(size, tf.int64))

    def _made(self, piece: tf.Tensor, owner: tf.Tensor) -> tf.Tensor:
        """The id that each symbol (N,) and the next merge into; it is also the merge's rank."""
        left, right = (tf.cast(part, tf.int64) for part in (piece[:-1], piece[1:]))
        pair = tf.where(owner[:-1] == owner[1:], _pair(left, right), -1)
        merged = tf.concat([self._merges.lookup(pair), [-1]], axis=0)
        return tf.where(merged < 0, _NONE, merged)

    def _safe(self, made: tf.Tensor, long: tf.Tensor) -> tf.Tensor:
        """Which pairs (N,) no earlier merge can touch, so that a long word takes few rounds.

        To touch a pair, earlier merges have to make a piece that ends or begins within it. That
        piece is no longer than the longest of the vocabulary, and its parts are pairs now. So a
        pair is safe if its rank is the lowest within that distance.
        """

        def lowest_near():
            near, reached = made, 0
            while reached < self._reach:
                step = min(2 * reached + 1, self._reach - reached)
                edge = tf.fill([step], _NONE)
                padded = tf.concat([edge, near, edge], axis=0)
                near = tf.minimum(near, tf.minimum(padded[: -2 * step], padded[2 * step :]))
                reached += step
            return (near == made) & (made < _NONE)

        return tf.cond(long, lowest_near, lambda: tf.zeros_like(made, tf.bool))


def _joined(made: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
    """Which of the chosen pairs (N,) are merged: of equal ones that overlap, every second one.

    From the left: "aaaa" has three pairs, of which the first and the third are merged.
    """
    position = tf.range(tf.size(made))
    begins = tf.concat([[True], made[1:] != made[:-1]], axis=0)[: tf.size(made)]
    begins |= made == _NONE
    first = tf.gather(tf.where(begins)[:, 0], tf.cumsum(tf.cast(begins, tf.int32)) - 1)
    even = (position - tf.cast(first, tf.int32)) % 2 == 0
    return chosen & even & tf.gather(chosen, first)


def _pair(left, right):
    """The key of two ids."""
    return left * 2**31 + right
