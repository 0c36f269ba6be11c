r"""Cuts texts of any bytes into the words of GPT-2 (Radford et al. 2019), without any loss.

The words are those of the pattern

    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+

with Unicode's `\s`. TensorFlow's regular expressions have no look-ahead, but each of the pattern's
alternatives is decided by a character and its neighbours, so words are cut by comparing numbers.
Bytes that are not UTF-8 count as one symbol or several, which are neither letters nor numbers nor
white space.
"""

import functools
import unicodedata

import numpy as np
import tensorflow as tf

from pipelines.steps.characters import WHITE_SPACE, CharacterTable, neighbours
from pipelines.steps.pieces import rows_of

_OUTSIDE, _LETTER, _NUMBER, _SPACE, _OTHER = range(5)
_BEYOND = 3  # characters that a contraction may take
# How GPT-2 writes bytes as characters: visible ones unchanged, the others from U+0100 on.
_SEEN = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_HIDDEN = [byte for byte in range(256) if byte not in _SEEN]
CODE_POINT = np.zeros(256, np.int32)  # byte -> code point
CODE_POINT[_SEEN], CODE_POINT[_HIDDEN] = _SEEN, range(256, 256 + len(_HIDDEN))
BYTE = np.zeros(CODE_POINT.max() + 1, np.int32)  # code point -> byte
BYTE[CODE_POINT] = range(256)


def to_characters(content: bytes) -> str:
    """Bytes as characters, one for each byte, none of which is white space."""
    return "".join(chr(CODE_POINT[byte]) for byte in content)


def to_bytes(characters: str) -> bytes:
    """The bytes that `to_characters` wrote."""
    return bytes(int(BYTE[ord(character)]) for character in characters)


def words(texts: tf.Tensor) -> tf.RaggedTensor:
    """Words of texts (B,) of any bytes, as `to_characters` writes them: (B, words) strings."""
    points, offsets = tf.strings.unicode_decode_with_offsets(texts, "UTF-8")
    position = tf.where(_begins(points.flat_values, points.row_splits))[:, 0]  # (words,)
    splits = tf.searchsorted(position, points.row_splits, out_type=tf.int64)  # of words by text
    size = tf.cast(tf.strings.length(texts, unit="BYTE"), tf.int64)
    before = tf.gather(tf.cumsum(size, exclusive=True), rows_of(splits))
    start = tf.gather(offsets.flat_values, position) + before
    content = tf.cast(tf.io.decode_raw(tf.strings.reduce_join(texts), tf.uint8), tf.int32)
    limits = tf.concat([start, [tf.size(content, tf.int64)]], axis=0)
    written = tf.gather(tf.constant(CODE_POINT), content)
    split = tf.RaggedTensor.from_row_splits(written, limits, validate=False)
    strings = tf.strings.unicode_encode(split, "UTF-8")
    return tf.RaggedTensor.from_row_splits(strings, splits, validate=False)


@functools.cache
def _kinds() -> CharacterTable:
    kinds = {"L": _LETTER, "N": _NUMBER}
    return CharacterTable(
        lambda c: _SPACE if c in WHITE_SPACE else kinds.get(unicodedata.category(c)[0], _OTHER),
        np.uint8,
    )


def _begins(codes: tf.Tensor, splits: tf.Tensor) -> tf.Tensor:
    """Whether a word begins at each character (N,) of texts with these row splits."""
    size = tf.size(codes, tf.int64)
    padded = tf.concat([codes, [0] * _BEYOND], axis=0)  # so that each has characters after it
    starts = tf.concat([splits, size + tf.range(_BEYOND, dtype=tf.int64)], axis=0)[:, None]
    first = tf.scatter_nd(starts, tf.ones_like(starts[:, 0], tf.int32), [size + _BEYOND]) > 0
    kind = _kinds()(padded)
    before, after = neighbours(kind, first, _OUTSIDE)
    # The last character of white space before a word stands alone, or joins the word if it is " ".
    last = (after != _SPACE) & (after != _OUTSIDE)
    joins = tf.concat([[False], (last & (padded == ord(" ")))[:-1]], axis=0)
    white = (before != _SPACE) | last
    begins = tf.where(kind == _SPACE, white, (kind != before) & ~joins)
    return _with_contractions(begins, padded, first)[:size]


def _with_contractions(begins: tf.Tensor, codes: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
    """The same with 's, 't, 'm, 'd, 're, 've, 'll as words, if a word begins with an apostrophe."""
    inside = begins[:-_BEYOND] & (codes[:-_BEYOND] == ord("'"))
    start = tf.where(inside)[:, 0]
    one, two = (
        tf.where(tf.gather(first, start + i), 0, tf.gather(codes, start + i)) for i in (1, 2)
    )
    short, long = tf.zeros_like(start, tf.bool), tf.zeros_like(start, tf.bool)
    for letter in "stmd":
        short |= one == ord(letter)
    for letter, other in ("re", "ve", "ll"):
        long |= (one == ord(letter)) & (two == ord(other))
    size = tf.where(short, 2 * tf.ones_like(start), tf.where(long, 3 * tf.ones_like(start), 0))
    start, size = tf.boolean_mask(start, size > 0), tf.boolean_mask(size, size > 0)
    begins = tf.tensor_scatter_nd_update(begins, start[:, None] + 1, tf.zeros_like(start, tf.bool))
    return tf.tensor_scatter_nd_update(
        begins, (start + size)[:, None], tf.ones_like(start, tf.bool)
    )
