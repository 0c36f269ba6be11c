"""A sub-word tokenizer of TensorFlow operations only, so that it can be exported with the model.

Text is split into words at spaces, around punctuation and around each character of scripts without
spaces, and each word into the longest pieces of the vocabulary, from the left (as WordPiece: Wu et
al. 2016, section 4.1). Every byte string is accepted: invalid UTF-8 becomes U+FFFD, a character
that the vocabulary lacks becomes [UNK], an empty text is only [CLS].
"""

import functools
import io
from collections.abc import Iterator

import numpy as np
import sentencepiece
import tensorflow as tf

from pipelines.core.pipeline import DataError, Form, Part, Rows
from pipelines.core.rows import chunks
from zoo.spec import Field

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # ids 0 to 4
_UNKNOWN, _CLASSIFY = 1, 2
_WORD = "\u2581"  # prefix of every word, which marks the pieces that begin one
_LONGEST_PIECE = 20  # characters
_SPACE = r"[\s\p{Z}\p{Cc}]+"
# Characters that are words by themselves: punctuation, symbols, scripts without spaces.
_ALONE = r"[\p{P}\p{S}\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"


def words(text: tf.Tensor) -> tf.RaggedTensor:
    """Lower-case words of texts (B,) of any bytes: (B, words) strings of valid UTF-8."""
    text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")
    text = tf.strings.lower(text, encoding="utf-8")
    text = tf.strings.regex_replace(text, f"({_ALONE})", r" \1 ")
    return tf.strings.split(tf.strings.regex_replace(text, _SPACE, " "))


def learn_vocabulary(texts: Iterator[np.ndarray], vocab_size: int) -> np.ndarray:
    """Special pieces, then those of byte-pair encoding over these texts (Sennrich et al. 2016).

    The same texts give the same pieces: sentencepiece breaks ties deterministically.

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
        joined = tf.strings.reduce_join(words(tf.constant(chunk)), axis=1, separator=" ")
        lines += [line for line in joined.numpy().tolist() if line]
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
            max_sentence_length=max(map(len, lines)) + 1,
            normalization_rule_name="identity",
            split_by_unicode_script=False,  # `words` has split the text
            split_by_number=False,
            bos_id=-1,
            eos_id=-1,
            minloglevel=2,
        )
    except RuntimeError as error:  # fewer pieces than there are different characters
        why = str(error).splitlines()[0]
        raise DataError(f"vocab_size={vocab_size} is too small for these texts: {why}") from error
    learnt = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return np.array([*SPECIAL, *(learnt.id_to_piece(i) for i in range(1, learnt.vocab_size()))])


class Tokenizer(tf.Module):
    """`preprocess` of a text field: strings (B,) to `tokens` (B, max_length) int32, padded with 0.

    Args:
        vocabulary: (pieces,) from `learn_vocabulary`.
        max_length: of the output; longer texts lose their middle, since the end of a review or a
            question matters as much as its beginning (Sun et al. 2019, section 5.3.1).
        field: name of the raw field; empty: the only one.
    """

    def __init__(self, vocabulary: np.ndarray, max_length: int, field: str = ""):
        super().__init__(name="tokenizer")
        pieces = [str(piece) for piece in vocabulary]
        keys = tf.constant(pieces[len(SPECIAL) :])  # so that "[MASK]" in a text is not special
        ids = tf.range(len(SPECIAL), len(pieces), dtype=tf.int32)
        initializer = tf.lookup.KeyValueTensorInitializer(keys, ids)
        self._ids = tf.lookup.StaticHashTable(initializer, default_value=-1)
        self._longest = max(map(len, pieces))
        self._max_length = max_length
        self._field = field

    def __call__(self, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        [text] = [raw[self._field]] if self._field else raw.values()
        pieces = self.pieces(words(text))  # (B, pieces)
        length = tf.cast(pieces.row_lengths(), tf.int32)[:, None]  # (B, 1)
        kept = tf.minimum(length, self._max_length - 1)
        column = tf.range(self._max_length - 1)[None]  # (1, max_length - 1)
        # The first half of the output is from the start of the text, the second from its end.
        position = column + tf.where(column < kept // 2, 0, length - kept)
        position += tf.cast(pieces.row_starts(), tf.int32)[:, None]
        # One gather: with TensorFlow's ragged operations tokenizing takes twice the time.
        padded = tf.concat([pieces.flat_values, [0]], axis=0)
        last = tf.size(pieces.flat_values)
        tokens = tf.gather(padded, tf.where(column < kept, position, last))
        start = tf.fill([tf.shape(tokens)[0], 1], _CLASSIFY)
        return {"tokens": tf.concat([start, tokens], axis=1)}

    def pieces(self, split: tf.RaggedTensor) -> tf.RaggedTensor:
        """Ids of the pieces of each text's words: (B, words) to (B, pieces) int32."""
        distinct, index = tf.unique(split.flat_values)
        of_word = tf.gather(self._pieces_of(distinct), index)  # (words, pieces)
        return split.with_flat_values(of_word).merge_dims(1, 2)

    def _pieces_of(self, word: tf.Tensor) -> tf.RaggedTensor:
        """Ids of the pieces of each word: (W,) to (W, pieces) int32."""
        word = tf.strings.join([_WORD, word])
        # Most words are a single piece; only the others need twenty look-ups per piece.
        whole = self._ids.lookup(word)
        every = tf.range(tf.size(word))
        active = tf.boolean_mask(every, whole < 0)
        ids, owner = (tf.boolean_mask(column, whole >= 0) for column in (whole, every))
        _, _, ids, owner = tf.while_loop(
            lambda active, *_: tf.size(active) > 0,
            functools.partial(self._one_more, word),
            (active, tf.zeros_like(active), ids, owner),
            shape_invariants=(tf.TensorShape([None]),) * 4,
        )
        # The loop adds one piece per word and round: sort by word, and by round within a word.
        order = tf.argsort(owner, stable=True)
        owner = tf.cast(tf.gather(owner, order), tf.int64)
        return tf.RaggedTensor.from_value_rowids(
            tf.gather(ids, order), owner, nrows=tf.size(word, tf.int64)
        )

    def _one_more(self, word, active, start, ids, owner):
        """One more piece of every word that has characters left."""
        rest = tf.gather(word, active)
        length = tf.strings.length(rest, unit="UTF8_CHAR")
        sizes = tf.range(self._longest, 0, -1)  # longest first
        shape = [tf.size(rest), tf.size(sizes)]
        taken = tf.strings.substr(
            tf.broadcast_to(rest[:, None], shape),
            tf.broadcast_to(start[:, None], shape),
            tf.broadcast_to(sizes, shape),
            unit="UTF8_CHAR",
        )
        ids_of_size = self._ids.lookup(taken)
        # The first size that is a piece is the longest.
        best = tf.argmax(ids_of_size >= 0, axis=1, output_type=tf.int32)
        piece = tf.gather(ids_of_size, best, batch_dims=1)
        known = piece >= 0
        left = length - start
        start += tf.where(known, tf.minimum(tf.gather(sizes, best), left), 1)
        more = start < length
        return (
            tf.boolean_mask(active, more),
            tf.boolean_mask(start, more),
            tf.concat([ids, tf.where(known, piece, _UNKNOWN)], axis=0),
            tf.concat([owner, active], axis=0),
        )


def pieces_form(vocab_size: int, max_length: int, field: str = "") -> Form:
    """One text field as `tokens` (B, max_length), with a vocabulary learnt from the training rows.

    Args:
        vocab_size: largest number of pieces.
        max_length: largest number of pieces of a text.
        field: name of the raw field; empty: the only one.
    """

    def fit(train: Rows) -> Part:
        name = field or next(name for name in train.fields if name != train.target)
        texts = (chunk[name] for chunk in chunks(train))
        # The option too, so that a run that adopts the vocabulary cannot ask for another size.
        return {
            "vocabulary": learn_vocabulary(texts, vocab_size),
            "vocab_size": np.int64(vocab_size),
        }

    def fields(part: Part) -> dict[str, Field]:
        ids = len(part["vocabulary"])
        return {"tokens": Field((max_length,), "int32", ids=ids, length=max_length)}

    return Form(
        fit=fit,
        make_preprocess=lambda part: Tokenizer(part["vocabulary"], max_length, field),
        fields=fields,
    )
