"""A sub-word tokenizer in TensorFlow operations only, so that it can be exported with the model.

Text is split into words at spaces, around punctuation and around each character of scripts without
spaces, and each word into the longest pieces of the vocabulary, from the left (as WordPiece: Wu et
al. 2016, section 4.1). Every byte string is accepted: invalid UTF-8 becomes U+FFFD, a character
that the vocabulary lacks becomes [UNK], an empty text is only [CLS].
"""

import hashlib
import io
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import sentencepiece
import tensorflow as tf

from pipelines.core.pipeline import DataError, Form, Part, Rows
from pipelines.core.rows import chunks
from pipelines.steps import byte_bpe, word_piece
from pipelines.steps.characters import in_lower_case
from pipelines.steps.merges import sampled
from pipelines.steps.pieces import CLASSIFY, SPECIAL, Codec, LongestMatch, of_words, tokens
from zoo.spec import Field

_WORD = "\u2581"  # prefix of every word, which marks the pieces that begin one
_LONGEST_PIECE = 20  # characters
# Largest size in bytes of a word that pieces are learnt from. The characters of a word of a million
# bytes would outnumber all others, so that these fall below `character_coverage`.
_LONGEST_WORD = 1000
# sentencepiece skips texts that contain U+2585, its sign for unknown characters. `words` makes it a
# word by itself.
_RESERVED = "\u2585".encode()
# What \\s, \\p{Z} and \\p{Cc} match besides the space itself, which would take most of the time.
_SPACE = r"[\x00-\x1f\x7f-\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"
# Characters that are words by themselves: punctuation, symbols, scripts without spaces.
_ALONE = r"[\p{P}\p{S}\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"


def lower(text: tf.Tensor) -> tf.Tensor:
    """Texts (B,) of any bytes as valid UTF-8 in lower case, all white space as spaces."""
    text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")
    return tf.strings.regex_replace(in_lower_case(text), _SPACE, " ")


def words(text: tf.Tensor) -> tf.RaggedTensor:
    """Lower-case words of texts (B,) of any bytes: (B, words) strings of valid UTF-8."""
    return tf.strings.split(tf.strings.regex_replace(lower(text), f"({_ALONE})", r" \1 "))


def learn_vocabulary(texts: Iterator[np.ndarray], vocab_size: int) -> np.ndarray:
    """Special pieces, then those of byte-pair encoding over these texts (Sennrich et al. 2016).

    Words of more than 1000 bytes are left out, as is U+2585. The same texts give the same pieces:
    sentencepiece breaks ties deterministically.

    Args:
        texts: arrays (N,) of byte strings.
        vocab_size: largest number of pieces.

    Returns:
        (pieces,) strings; a piece's index is its id, and the first of a word begins with U+2581.

    Raises:
        DataError: the texts contain no words, or more different characters than `vocab_size` holds.
    """
    lines: list[bytes] = []
    for chunk in texts:
        split = words(tf.constant(chunk))
        flat, ends = split.flat_values.numpy().tolist(), split.row_splits.numpy().tolist()
        # In Python: TensorFlow's ragged operations take the memory of texts times the longest one.
        kept = ([w for w in flat[i:j] if _is_learnt(w)] for i, j in pairwise(ends))
        lines += [b" ".join(line) for line in kept if line]
    if not lines:
        raise DataError("no vocabulary can be learnt: the training texts contain no words")
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size - len(SPECIAL) + 1,  # with its own unknown piece, removed below
            hard_vocab_limit=False,  # short texts have fewer pieces
            character_coverage=0.9995,  # the rest is [UNK]: mostly noise, and each takes an id
            max_sentencepiece_length=_LONGEST_PIECE,
            max_sentence_length=max(10, max(map(len, lines)) + 1),  # 10 is its minimum
            normalization_rule_name="identity",
            split_by_unicode_script=False,  # `words` has split the text
            split_by_number=False,
            bos_id=-1,
            eos_id=-1,
            minloglevel=2,
        )
    except RuntimeError as error:  # fewer pieces than distinct characters
        why = str(error).splitlines()[0]
        raise DataError(f"vocab_size={vocab_size} is too small for these texts: {why}") from error
    learnt = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return np.array([*SPECIAL, *(learnt.id_to_piece(i) for i in range(1, learnt.vocab_size()))])


def _is_learnt(word: bytes) -> bool:
    """Whether pieces are learnt from a word."""
    return len(word) <= _LONGEST_WORD and word != _RESERVED


class Pieces(tf.Module):
    """The codec of a vocabulary (pieces,) from `learn_vocabulary`."""

    def __init__(self, vocabulary: np.ndarray):
        super().__init__(name="pieces")
        keys = [str(piece) for piece in vocabulary]
        self._texts = tf.constant([*[""] * len(SPECIAL), *keys[len(SPECIAL) :]])
        ids = {key: i for i, key in enumerate(keys) if i >= len(SPECIAL)}  # never a text's "[MASK]"
        self._cut = LongestMatch(ids, _WORD)

    def encode(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Ids of the pieces of texts (B,) of any bytes: (B, pieces) int32."""
        return of_words(words(texts), self._cut)

    def decode(self, ids: tf.Tensor) -> tf.Tensor:
        """Texts (B,) of ids (B, T), except for lost spaces; special ones are left out."""
        joined = tf.strings.reduce_join(tf.gather(self._texts, ids), axis=-1)
        return tf.strings.strip(tf.strings.regex_replace(joined, _WORD, " "))


class Tokenizer(tf.Module):
    """`preprocess` of a text field: strings (B,) to `tokens` (B, max_length) int32, padded with 0.

    Args:
        vocabulary: as it was learnt.
        max_length: of the output; longer texts lose their middle.
        field: name of the raw field; empty: the only one.
        codec: makes, from the vocabulary, the codec between texts and ids.
    """

    def __init__(
        self,
        vocabulary: np.ndarray,
        max_length: int,
        field: str = "",
        codec: Callable[[np.ndarray], Codec] = Pieces,
    ):
        super().__init__(name="tokenizer")
        self._codec = codec(vocabulary)
        self.max_length = max_length
        self._field = field
        # A hash of everything that its tokens depend on, for files of tokens.
        learnt = [type(self._codec).__name__, *map(str, np.asarray(vocabulary).tolist())]
        self.fingerprint = hashlib.sha256("\n".join(learnt).encode()).hexdigest()

    def __call__(self, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {"tokens": tokens(self._codec.encode(self._text(raw)), self.max_length)}

    def all_tokens(self, raw: dict[str, tf.Tensor]) -> tf.RaggedTensor:
        """[CLS] and all pieces of each text, however many: (B, tokens) int32."""
        ids = self._codec.encode(self._text(raw))
        start = tf.fill([ids.nrows(), 1], CLASSIFY)
        return tf.concat([tf.RaggedTensor.from_tensor(start), ids], axis=1)

    def decode(self, tokens: tf.Tensor) -> tf.Tensor:
        """Texts (B,) of tokens (B, T); special ones are left out."""
        return self._codec.decode(tokens)

    def _text(self, raw: dict[str, tf.Tensor]) -> tf.Tensor:
        [text] = [raw[self._field]] if self._field else raw.values()
        return text


class Kind(NamedTuple):
    """One of the tokenizers that the form `pieces` can have."""

    learn: Callable[[Rows, str, int], np.ndarray]  # training rows, column of texts, vocab_size
    codec: Callable[[np.ndarray], Codec]
    array: str = "vocabulary"  # name in the state of what is learnt
    beside: int = 0  # number of ids that are not learnt


def _learn_pieces(train: Rows, name: str, vocab_size: int) -> np.ndarray:
    return learn_vocabulary((chunk[name] for chunk in chunks(train)), vocab_size)


KINDS = {  # value of the option `tokenizer`
    "pieces": Kind(_learn_pieces, Pieces),
    "bytes": Kind(sampled(byte_bpe.learn), byte_bpe.BytePieces, "merges", byte_bpe.MIN_VOCAB_SIZE),
    "word_pieces": Kind(sampled(word_piece.learn), word_piece.WordPieces),
}


def pieces_form(
    vocab_size: int, max_length: int, field: str = "", tokenizer: str = "pieces"
) -> Form:
    """One text field as `tokens` (B, max_length), with a vocabulary learnt from the training rows.

    Args:
        vocab_size: largest number of pieces.
        max_length: largest number of pieces of a text.
        field: name of the raw field; empty: the only one.
        tokenizer: a key of KINDS.

    Raises:
        DataError: unknown `tokenizer`, or `vocab_size` is too small for it; when `preprocess` is
            made, an adopted vocabulary is of another tokenizer.
    """
    if tokenizer not in KINDS:
        raise DataError(f"tokenizer={tokenizer}: expected {', '.join(KINDS)}")
    if vocab_size < KINDS[tokenizer].beside:
        raise DataError(
            f"vocab_size={vocab_size}: expected {KINDS[tokenizer].beside} or more, the ids of "
            f"tokenizer={tokenizer} that are not learnt"
        )

    def fit(train: Rows) -> Part:
        name = field or next(name for name in train.fields if name != train.target)
        kind = KINDS[tokenizer]
        # The options too, so that a run that adopts the vocabulary cannot ask for others.
        return {
            kind.array: kind.learn(train, name, vocab_size),
            "vocab_size": np.int64(vocab_size),
            "tokenizer": np.array(tokenizer),
        }

    def make(part: Part) -> Tokenizer:
        kind, learnt = _kind(part), _name(part)
        if tokenizer not in ("pieces", learnt):  # "pieces" may be the default
            raise DataError(f"tokenizer={tokenizer}, but the vocabulary is of tokenizer={learnt}")
        return Tokenizer(part[kind.array], max_length, field, kind.codec)

    def fields(part: Part) -> dict[str, Field]:
        kind = _kind(part)
        ids = kind.beside + len(part[kind.array])
        return {"tokens": Field((max_length,), "int32", ids=ids, length=max_length)}

    return Form(fit=fit, make_preprocess=make, fields=fields)


def _name(part: Part) -> str:
    return str(part.get("tokenizer", "pieces"))  # an earlier version recorded none


def _kind(part: Part) -> Kind:
    return KINDS[_name(part)]
