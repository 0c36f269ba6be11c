"""WordPiece: by hand, and equal to Hugging Face's configured the same."""

import time

import numpy as np
import pytest
import tensorflow as tf

from pipelines import DataError
from pipelines.core.specs import trace
from pipelines.steps import word_piece
from pipelines.steps.pieces import SPECIAL
from pipelines.steps.word_piece import WordPieces
from tests.pipelines.steps import hostile

TINY = np.array(
    [*SPECIAL, "the", "film", "##s", "##ed", "fil", "##m", "好", "!", "i", "##\u0307", "\u03c3"]
)
TEXTS = np.array([text.encode() for text in (*hostile.TEXTS, *hostile.drawn(400, 60))], object)


def encoder(vocabulary: np.ndarray):
    codec = WordPieces(vocabulary)
    traced = trace(codec.encode, tf.TensorSpec((None,), tf.string))
    # Held, since a traced function holds no tables.
    return lambda texts, codec=codec: traced(tf.constant(texts, tf.string)).to_list()


@pytest.fixture(scope="module", name="tiny")
def _tiny():
    encode = encoder(TINY)
    return lambda *texts: [[str(TINY[i]) for i in row] for row in encode(texts)]


@pytest.fixture(scope="module", name="learnt")
def _learnt() -> np.ndarray:
    pytest.importorskip("tokenizers")
    return word_piece.learn(iter([TEXTS[:200], TEXTS[200:]]), 600)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The FILMS", ["the", "film", "##s"]),
        ("films!filmed", ["film", "##s", "!", "film", "##ed"]),
        ("film film", ["film", "film"]),
        ("filmx film", ["[UNK]", "film"]),  # one for the whole word
        ("s", ["[UNK]"]),  # a piece of the inside does not begin a word
        ("好好film", ["好", "好", "film"]),
        ("fi\x00lm\u200d s\ufffd", ["film", "[UNK]"]),  # control characters are removed
        ("the\x0bfilm the\x85film", ["[UNK]", "[UNK]"]),  # these two also, as BERT does
        ("the\u3000film\n\t", ["the", "film"]),
        ("İ Σ", ["i", "##\u0307", "\u03c3"]),
        ("[MASK]", ["[UNK]", "[UNK]", "[UNK]"]),
        ("film" + "s" * 96, ["film"] + ["##s"] * 96),
        ("film" + "s" * 97, ["[UNK]"]),  # over 100 characters
        ("", []),
        (" \n", []),
    ],
)
def test_words_are_cut_into_the_longest_pieces(tiny, text, expected):
    assert tiny(text.encode()) == [expected]


def test_invalid_bytes_are_removed_and_rows_do_not_touch(tiny):
    assert tiny(b"\xe5\xa5", b"fi\xfflm", b"", b"\x80s") == [[], ["film"], [], ["[UNK]"]]


def test_a_text_of_any_length_takes_linear_time_and_memory(tiny):
    start = time.perf_counter()
    found = tiny(b"film" * 75_000, b"film " * 60_000, *[b"the"] * 2000)
    assert time.perf_counter() - start < 10
    assert found == [["[UNK]"], ["film"] * 60_000, *[["the"]] * 2000]


def test_words_equal_those_of_bert():
    made = hostile.hugging_face().word_piece(TINY)
    cut = trace(word_piece.words, tf.TensorSpec((None,), tf.string))
    texts = [*hostile.TEXTS, *hostile.drawn(800, 40), *hostile.of_all_characters()]
    # The library's punctuation is of Unicode 8, where this Canadian sign was some.
    texts = [text.replace("\u166d", "") for text in texts]
    found = cut(tf.constant([text.encode() for text in texts])).to_list()
    assert [[word.decode() for word in row] for row in found] == [
        hostile.words(made, text) for text in texts
    ]


def test_encode_equals_hugging_face_on_hostile_texts(learnt):
    made = hostile.hugging_face().word_piece(learnt)
    found = encoder(learnt)(TEXTS.tolist())
    assert found == [made.encode(text.decode()).ids for text in TEXTS]
    assert max(map(len, found)) > 100


def test_decode_gives_lower_case_words_with_a_space_between():
    codec = WordPieces(TINY)
    ids = codec.encode(tf.constant(["The  films, FILMED!"]))
    padded = tf.concat([[[2]], ids.to_tensor(), [[0, 0]]], axis=1)
    assert codec.decode(padded).numpy().tolist() == [b"the films filmed !"]  # no comma: [UNK]


def test_learn_gives_each_form_once_and_the_same_again(learnt):
    np.testing.assert_array_equal(learnt, word_piece.learn(iter([TEXTS]), 600))
    assert learnt[:5].tolist() == list(SPECIAL)
    assert len(set(learnt)) == len(learnt) == 600
    assert {"a", "##a", "好", "'", "the"} <= set(learnt)


def test_learn_counts_a_character_apart_where_it_begins_a_word():
    """By hand: a 5 times, ##b 5, ##a 2, b 1; then pairs: a ##b 3 times, a ##a 2, aa ##b 2."""
    pytest.importorskip("tokenizers")
    texts = np.array([b"ab ab b", b"aab AAB ab " + b"q" * 101], object)
    learnt = ["a", "##b", "##a", "b", "ab", "aa", "aab"]
    assert word_piece.learn(iter([texts]), 100).tolist()[5:] == learnt
    assert word_piece.learn(iter([texts]), 7).tolist()[5:] == learnt[:2]


def test_learn_refuses_texts_without_words():
    with pytest.raises(DataError, match="no words"):
        word_piece.learn(iter([np.array([b"", b" \n", b"a" * 101], object)]), 60)
