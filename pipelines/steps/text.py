"""Text to numbers inside the exported model: a sub-word tokenizer of TensorFlow operations alone.

Words are cut at spaces, around punctuation and around each character of the scripts that write
without spaces, and then into the longest pieces of the vocabulary, from the left (as WordPiece: Wu
et al. 2016, section 4.1). Defined for every byte string: bytes that are no UTF-8 become U+FFFD, a
character that no piece covers becomes one [UNK], an empty text is [CLS] alone.
"""

import io
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from pipelines import DataError, Rows, State

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # ids 0 to 4
_UNKNOWN, _CLASSIFY = 1, 2
_WORD = "\u2581"  # stands before every word, so that the pieces that begin one are known
_LONGEST_PIECE = 20  # characters
_CHUNK = 1024  # texts at a time
_SPACE = r"[\s\p{Z}\p{Cc}]+"
# Scripts without spaces between words: each of their characters is a word.
_ALONE = r"[\p{P}\p{S}\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"


def words(text: tf.Tensor) -> tf.RaggedTensor:
    """Texts (B,) of any bytes as lower-case words: (B, words) strings of valid UTF-8."""
    text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")
    text = tf.strings.lower(text, encoding="utf-8")
    text = tf.strings.regex_replace(text, f"({_ALONE})", r" \1 ")
    return tf.strings.split(tf.strings.regex_replace(text, _SPACE, " "))


def learn_vocabulary(texts: Iterator[np.ndarray], vocab_size: int) -> np.ndarray:
    """The pieces that byte-pair merging finds in these texts (Sennrich et al. 2016), special first.

    The same texts give the same pieces. Hugging Face's trainer, tried first, breaks ties by chance.

    Args:
        texts: arrays (N,) of byte strings.
        vocab_size: the most pieces there may be.

    Returns:
        (pieces,) strings; a piece's place is its id, and the first of a word begins with U+2581.

    Raises:
        DataError: there is no word in any of the texts, or too small a vocabulary for them.
    """
    import sentencepiece

    lines: list[bytes] = []
    for chunk in texts:
        joined = tf.strings.reduce_join(words(tf.constant(chunk)), axis=1, separator=" ")
        lines += [line for line in joined.numpy().tolist() if line]
    if not lines:
        raise DataError("there is no word in any training text: nothing to learn a vocabulary from")
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size - len(SPECIAL) + 1,  # its own unknown piece is left out below
            hard_vocab_limit=False,  # few texts have fewer pieces
            character_coverage=0.9995,  # the rest is [UNK]: mostly noise, and each takes an id
            max_sentencepiece_length=_LONGEST_PIECE,
            max_sentence_length=max(map(len, lines)) + 1,
            normalization_rule_name="identity",
            split_by_unicode_script=False,  # `words` has split
            split_by_number=False,
            bos_id=-1,
            eos_id=-1,
            minloglevel=2,
        )
    except RuntimeError as error:  # fewer pieces than there are different characters
        why = str(error).splitlines()[0]
        raise DataError(f"vocab_size={vocab_size} is too small for these texts: {why}") from error
    found = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return np.array([*SPECIAL, *(found.id_to_piece(i) for i in range(1, found.vocab_size()))])


class Tokenizer(tf.Module):
    """`preprocess` of a text field: raw strings to `tokens` (B, max_length) int32, 0 after the end.

    Args:
        vocabulary: (pieces,) from `learn_vocabulary`.
        max_length: of the output; longer texts lose their middle: the end of a review or of a
            question says as much as its beginning (Sun et al. 2019, section 5.3.1).
        field: name of the raw field.
    """

    def __init__(self, vocabulary: np.ndarray, max_length: int, field: str = "text"):
        super().__init__(name="tokenizer")
        pieces = [str(piece) for piece in vocabulary]
        keys = tf.constant(pieces[len(SPECIAL) :])  # a text that says "[MASK]" masks nothing
        ids = tf.range(len(SPECIAL), len(pieces), dtype=tf.int32)
        initializer = tf.lookup.KeyValueTensorInitializer(keys, ids)
        self._ids = tf.lookup.StaticHashTable(initializer, default_value=-1)
        self._longest = max(map(len, pieces))
        self._max_length = max_length
        self._field = field

    def __call__(self, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        pieces = self.pieces(words(raw[self._field]))  # (B, pieces)
        length = tf.cast(pieces.row_lengths(), tf.int32)[:, None]  # (B, 1)
        kept = tf.minimum(length, self._max_length - 1)
        column = tf.range(self._max_length - 1)[None]  # (1, max_length - 1)
        # The first half of what is kept, then the last pieces.
        place = column + tf.where(column < kept // 2, 0, length - kept)
        place += tf.cast(pieces.row_starts(), tf.int32)[:, None]
        # One gather: TensorFlow's operations on ragged tensors took half the time of a tokenizer.
        padded = tf.concat([pieces.flat_values, [0]], axis=0)
        last = tf.size(pieces.flat_values)
        tokens = tf.gather(padded, tf.where(column < kept, place, last))
        start = tf.fill([tf.shape(tokens)[0], 1], _CLASSIFY)
        return {"tokens": tf.concat([start, tokens], axis=1)}

    def pieces(self, split: tf.RaggedTensor) -> tf.RaggedTensor:
        """Ids of the pieces of each text's words: (B, words) to (B, pieces) int32."""
        distinct, place = tf.unique(split.flat_values)
        of_word = tf.gather(self._pieces_of(distinct), place)  # (words, pieces)
        return split.with_flat_values(of_word).merge_dims(1, 2)

    def _pieces_of(self, word: tf.Tensor) -> tf.RaggedTensor:
        """Ids of the pieces of each word: (W,) to (W, pieces) int32."""
        word = tf.strings.join([_WORD, word])
        length = tf.strings.length(word, unit="UTF8_CHAR")
        sizes = tf.range(self._longest, 0, -1)  # longest first

        def step(active, start, ids, owner):
            """One more piece of every word that is not used up."""
            rest = tf.gather(word, active)
            shape = [tf.size(rest), tf.size(sizes)]
            taken = tf.strings.substr(
                tf.broadcast_to(rest[:, None], shape),
                tf.broadcast_to(start[:, None], shape),
                tf.broadcast_to(sizes, shape),
                unit="UTF8_CHAR",
            )
            found = self._ids.lookup(taken)
            best = tf.argmax(found >= 0, axis=1, output_type=tf.int32)  # the first, so the longest
            piece = tf.gather(found, best, batch_dims=1)
            known = piece >= 0
            left = tf.gather(length, active) - start
            start += tf.where(known, tf.minimum(tf.gather(sizes, best), left), 1)
            more = start < tf.gather(length, active)
            return (
                tf.boolean_mask(active, more),
                tf.boolean_mask(start, more),
                tf.concat([ids, tf.where(known, piece, _UNKNOWN)], axis=0),
                tf.concat([owner, active], axis=0),
            )

        # Most words are a piece as they are; only the others are worth twenty look-ups a piece.
        whole = self._ids.lookup(word)
        every = tf.range(tf.size(word))
        active = tf.boolean_mask(every, whole < 0)
        ids, owner = (tf.boolean_mask(column, whole >= 0) for column in (whole, every))
        _, _, ids, owner = tf.while_loop(
            lambda active, *_: tf.size(active) > 0,
            step,
            (active, tf.zeros_like(active), ids, owner),
            shape_invariants=(tf.TensorShape([None]),) * 4,
        )
        # Pieces were found in rounds: back into the order of the words, and of rounds within one.
        order = tf.argsort(owner, stable=True)
        owner = tf.cast(tf.gather(owner, order), tf.int64)
        return tf.RaggedTensor.from_value_rowids(
            tf.gather(ids, order), owner, nrows=tf.size(word, tf.int64)
        )


def steps(vocab_size: int, max_length: int, field: str = "text") -> tuple[Callable, Callable]:
    """`prepare` and `bind` of a pipeline with one text field: the vocabulary, and what reads it."""

    def prepare(rows: dict[str, Rows], state: State | None) -> tuple[dict[str, Rows], State]:
        if state is None:
            state = {"vocabulary": learn_vocabulary(_chunks(rows["train"], field), vocab_size)}
        return rows, state

    return prepare, lambda state: Tokenizer(state["vocabulary"], max_length, field)


def _chunks(rows: Rows, field: str) -> Iterator[np.ndarray]:
    for first in range(0, rows.num_rows, _CHUNK):
        if rows.table is None:
            index = np.arange(first, min(first + _CHUNK, rows.num_rows))
            yield rows.read(index)[field]
        else:
            yield rows.table[field][first : first + _CHUNK]
