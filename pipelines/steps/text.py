"""A sub-word tokenizer of TensorFlow operations only, so that it can be exported with the model.

Text is split into words at spaces, around punctuation and around each character of scripts without
spaces, and each word into the longest pieces of the vocabulary, from the left (as WordPiece: Wu et
al. 2016, section 4.1). Every byte string is accepted: invalid UTF-8 becomes U+FFFD, a character
that the vocabulary lacks becomes [UNK], an empty text is only [CLS].
"""

import io
from collections.abc import Iterator, Mapping

import numpy as np
import sentencepiece
import tensorflow as tf

from pipelines.core.pipeline import DataError, Form, Part, Rows
from pipelines.core.rows import chunks
from zoo.spec import Field

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # ids 0 to 4
_UNKNOWN, _CLASSIFY = 1, 2
_WORD = "\u2581"  # prefix of every word, which marks the pieces that begin one
_END = "\0"  # after every word; no word has one, since control characters are spaces
_LONGEST_PIECE = 20  # characters
# Bytes of a word that pieces are learnt from. The characters of one of a million bytes would
# outnumber all others, so that these fall below `character_coverage`.
_LONGEST_WORD = 1000
# What \\s, \\p{Z} and \\p{Cc} hold besides the space itself, which would take most of the time.
_SPACE = r"[\x00-\x1f\x7f-\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"
# Characters that are words by themselves: punctuation, symbols, scripts without spaces.
_ALONE = r"[\p{P}\p{S}\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"


def lower(text: tf.Tensor) -> tf.Tensor:
    """Texts (B,) of any bytes as valid UTF-8 in lower case, all white space as spaces."""
    text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")
    text = tf.strings.lower(text, encoding="utf-8")
    return tf.strings.regex_replace(text, _SPACE, " ")


def words(text: tf.Tensor) -> tf.RaggedTensor:
    """Lower-case words of texts (B,) of any bytes: (B, words) strings of valid UTF-8."""
    return tf.strings.split(tf.strings.regex_replace(lower(text), f"({_ALONE})", r" \1 "))


def learn_vocabulary(texts: Iterator[np.ndarray], vocab_size: int) -> np.ndarray:
    """Special pieces, then those of byte-pair encoding over these texts (Sennrich et al. 2016).

    Words of more than 1000 bytes are left out. The same texts give the same pieces: sentencepiece
    breaks ties deterministically.

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
        short = tf.strings.length(split.flat_values) <= _LONGEST_WORD
        split = tf.ragged.boolean_mask(split, split.with_flat_values(short))
        joined = tf.strings.reduce_join(split, axis=1, separator=" ")
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
        keys = pieces[len(SPECIAL) :]  # so that "[MASK]" in a text is not special
        ids = np.arange(len(SPECIAL), len(pieces), dtype=np.int32)
        self._whole = _table(np.array(keys, object), ids)
        edges, self._piece_at, self._size_at = _trie(dict(zip(keys, ids.tolist(), strict=True)))
        self._edges = _table(np.array(list(edges)), np.array(list(edges.values()), np.int32))
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
        # Without assertions, which keep all of this in a graph that needs no tokens.
        return tf.RaggedTensor.from_value_rowids(
            tf.gather(ids, order),
            tf.gather(owner, order),
            nrows=tf.size(word, tf.int64),
            validate=False,
        )

    def _longest(self, characters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The longest piece that begins at each of the characters (N,), and its size: (N,) int32.

        Where none does, [UNK] of size 1; at the end of a word, size 0.
        """

        def one_character_on(position, node, begin, deepest):
            character = tf.cast(tf.gather(characters, position), tf.int64)
            node = self._edges.lookup(_edge(tf.cast(node, tf.int64), character))
            alive = tf.where(node >= 0)[:, 0]
            position, node, begin = (tf.gather(c, alive) for c in (position, node, begin))
            deepest = tf.tensor_scatter_nd_update(deepest, begin[:, None], node)
            return position + 1, node, begin, deepest

        every = tf.range(tf.size(characters))
        *_, deepest = tf.while_loop(
            lambda position, *_: tf.size(position) > 0,
            one_character_on,
            (every, tf.zeros_like(every), every, tf.zeros_like(every)),
            shape_invariants=(tf.TensorShape([None]),) * 4,
        )
        size = tf.gather(self._size_at, deepest)
        return tf.gather(self._piece_at, deepest), tf.where(characters == 0, 0, size)


def _path(begin: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Where the pieces are that follow one another from each beginning: (pieces,), in any order.

    By pointer doubling, so that a word of a million characters takes 20 rounds: after k of them
    2^k pieces of each word are known, and from each character the position 2^k pieces further.

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

    That is the longest piece on the way to the node, or [UNK] of size 1. The root is node 0.
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
    found = [(_UNKNOWN, 1)]
    for node in range(1, len(parents)):
        found.append(ends.get(node, found[parents[node]]))
    piece, size = np.array(found, np.int32).T
    return edges, piece, size


def _edge(node, character):
    """The key of a node's edge: Unicode has less than 2^21 characters."""
    return node * 2**21 + character


def _table(keys: np.ndarray, values: np.ndarray) -> tf.lookup.StaticHashTable:
    initializer = tf.lookup.KeyValueTensorInitializer(tf.constant(keys), tf.constant(values))
    return tf.lookup.StaticHashTable(initializer, default_value=-1)


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
