"""WordPiece as in BERT (Devlin et al. 2019), in TensorFlow operations only.

Texts are cut into lower-case words at white space, around punctuation and around Chinese
characters, and each word into the longest pieces from the left; pieces that do not begin a word
are written with "##". A word of more than 100 characters, or with a rest that no piece covers, is
one [UNK]. Accents are kept: stripping them would also decompose Hangul.
"""

import functools
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow as tf

from pipelines.core.pipeline import DataError
from pipelines.steps import merges
from pipelines.steps.characters import WHITE_SPACE, CharacterTable, neighbours
from pipelines.steps.pieces import SPECIAL, UNKNOWN, LongestMatch, by_row, of_words, splits_of

LONGEST = 100  # characters of a word
_INSIDE = "##"
_MARK = "\1"  # before a word; no word has one, since control characters are removed
_COVERED = 0.9995  # fraction of the words' characters that get ids; the rest is mostly noise
_FIRST = 0x10000  # first of the code points for learning, none of which is white space
_OUTSIDE, _REMOVED, _SPACE, _ALONE, _OTHER = range(5)
# BERT's Chinese characters; its fifth range ends, and its sixth begins, elsewhere than Unicode's.
_CHINESE = (
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF)),
    *((0x2A700, 0x2B81F), (0x2B920, 0x2CEAF), (0x2F800, 0x2FA1F)),
)


def words(texts: tf.Tensor) -> tf.RaggedTensor:
    """Words of texts (B,) of any bytes: (B, words) strings of valid UTF-8.

    Control and private characters and U+FFFD are removed, as is each U+FFFD for invalid bytes.
    """
    points = tf.strings.unicode_decode(texts, "UTF-8")
    codes, kind = points.flat_values, _kinds()(points.flat_values)
    [codes, kind], splits = _only(kind != _REMOVED, [codes, kind], points.row_splits)
    size = tf.size(codes, tf.int64)
    first = tf.scatter_nd(splits[:, None], tf.ones_like(splits), [size + 1])[:-1] > 0
    before, _ = neighbours(kind, first, _OUTSIDE)
    begins = (kind == _ALONE) | (kind != before)
    [codes, begins], splits = _only(kind != _SPACE, [codes, begins], splits)
    position = tf.where(begins)[:, 0]
    codes, limits = _lowered(codes, tf.concat([position, [tf.size(codes, tf.int64)]], axis=0))
    split = tf.RaggedTensor.from_row_splits(codes, limits, validate=False)
    strings = tf.strings.unicode_encode(split, "UTF-8")
    splits = tf.searchsorted(position, splits, out_type=tf.int64)
    return tf.RaggedTensor.from_row_splits(strings, splits, validate=False)


def _only(
    kept: tf.Tensor, columns: list[tf.Tensor], splits: tf.Tensor
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Columns (N,) where `kept` (N,), and the splits of their rows."""
    return [tf.boolean_mask(column, kept) for column in columns], splits_of(kept, splits)


def learn(texts: Iterable[np.ndarray], vocab_size: int) -> np.ndarray:
    """Special pieces, then those of byte-pair encoding over the words of these texts.

    A character that begins a word is another symbol than the same character elsewhere. The same
    texts give the same pieces.

    Args:
        texts: arrays (N,) of byte strings.
        vocab_size: largest number of pieces.

    Returns:
        (pieces,) strings; a piece's index is its id.

    Raises:
        DataError: the texts contain no words, or the package `tokenizers` is not installed.
    """
    count = {
        word: number
        for word, number in merges.counted(texts, words).items()
        if len(word) <= LONGEST
    }
    if not count:
        raise DataError("no vocabulary can be learnt: the training texts contain no words")
    symbols = _symbols(count, vocab_size - len(SPECIAL))
    written = {
        "".join(symbols[i > 0, c] for i, c in enumerate(word)): number
        for word, number in count.items()
        if all((i > 0, c) in symbols for i, c in enumerate(word))
    }
    size = vocab_size - len(SPECIAL) - len(symbols)
    learnt = merges.learn(written, size, list(symbols.values()))
    known = {symbol: (inside, c) for (inside, c), symbol in symbols.items()}
    pieces = [*symbols.values(), *(left + right for left, right in learnt)]
    return np.array([*SPECIAL, *(_written([known[s] for s in piece]) for piece in pieces)])


class WordPieces(tf.Module):
    """The codec of a vocabulary (pieces,) from `learn`."""

    def __init__(self, vocabulary: np.ndarray):
        super().__init__(name="word_pieces")
        ids, texts = {}, [""] * len(SPECIAL)
        for i, piece in enumerate(map(str, vocabulary[len(SPECIAL) :]), start=len(SPECIAL)):
            inside = piece.startswith(_INSIDE) and piece != _INSIDE
            ids[piece.removeprefix(_INSIDE) if inside else _MARK + piece] = i
            texts.append(piece.removeprefix(_INSIDE) if inside else f" {piece}")
        self._texts = tf.constant(texts)
        self._cut = LongestMatch(ids, _MARK)

    def encode(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """All ids of texts (B,) of any bytes: (B, pieces) int32."""
        return of_words(words(texts), self._pieces_of)

    def decode(self, ids: tf.Tensor) -> tf.Tensor:
        """Texts (B,) of ids (B, T), with a space between words; special ones are left out."""
        joined = tf.strings.reduce_join(tf.gather(self._texts, ids), axis=-1)
        return tf.strings.strip(joined)

    def _pieces_of(self, word: tf.Tensor) -> tf.RaggedTensor:
        """Ids of the pieces of each word: (W,) to (W, pieces) int32."""
        long = tf.strings.length(word, unit="UTF8_CHAR") > LONGEST
        cut = self._cut(tf.where(long, "", word))  # an empty one is [UNK]
        row, ids = cut.value_rowids(), cut.flat_values
        size = tf.size(word)
        unknown = tf.math.unsorted_segment_min(ids, row, size) == UNKNOWN  # below all others
        of_piece = tf.gather(unknown, row)
        first = tf.concat([[True], row[1:] != row[:-1]], axis=0)[: tf.size(row)]
        kept, ids = first | ~of_piece, tf.where(of_piece, UNKNOWN, ids)
        row = tf.boolean_mask(row, kept)
        return by_row(tf.boolean_mask(ids, kept), row, tf.cast(size, tf.int64))


@functools.cache
def _kinds() -> CharacterTable:
    return CharacterTable(_kind, np.uint8)


def _kind(character: str) -> int:
    code, category = ord(character), unicodedata.category(character)
    if character in "\t\n\r":
        return _SPACE
    if category in ("Cc", "Cf", "Co", "Cs") or character == "\ufffd":
        return _REMOVED
    if character in WHITE_SPACE:
        return _SPACE
    symbol = character.isascii() and not character.isalnum()  # $+<=>^`|~ are not category P
    alone = category[0] == "P" or symbol or any(a <= code <= b for a, b in _CHINESE)
    return _ALONE if alone else _OTHER


@functools.cache
def _lower() -> CharacterTable:
    """How far each character's lower case is, in code points; only U+0130's is two characters."""
    return CharacterTable(lambda c: ord(c.lower()[0]) - ord(c), np.int32)


def _lowered(codes: tf.Tensor, limits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Code points (N,) of words with these limits in lower case, character by character.

    The Turkish capital I with a dot becomes two, i and U+0307; a sigma is the same at the end of
    a word as within it.
    """
    dotted = codes == 0x130
    repeats = 1 + tf.cast(dotted, tf.int64)
    before = tf.concat([[0], tf.cumsum(repeats)], axis=0)
    lowered = tf.repeat(codes + _lower()(codes), repeats)
    second = tf.boolean_mask(before[1:], dotted) - 1
    lowered = tf.tensor_scatter_nd_update(
        lowered, second[:, None], tf.fill([tf.size(second)], 0x307)
    )
    return lowered, tf.gather(before, limits)


def _symbols(count: Mapping[str, int], most: int) -> dict[tuple[bool, str], str]:
    """One symbol for each (inside a word, character), the most frequent first.

    There are at most `most`, and no more than `_COVERED` requires.
    """
    number: Counter[tuple[bool, str]] = Counter()
    for word, times in count.items():
        for i, character in enumerate(word):
            number[i > 0, character] += times
    ordered = sorted(number.items(), key=lambda item: (-item[1], item[0]))
    needed, covered = _COVERED * number.total(), np.cumsum([times for _, times in ordered])
    kept = min(most, int(np.searchsorted(covered, needed)) + 1)
    return {form: chr(_FIRST + i) for i, (form, _) in enumerate(ordered[:kept])}


def _written(forms: list[tuple[bool, str]]) -> str:
    """A piece as it is written in BERT's vocabularies."""
    return _INSIDE * forms[0][0] + "".join(character for _, character in forms)
