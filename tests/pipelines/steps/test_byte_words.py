"""GPT-2's words: literal ones, and the same as its pattern gives."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines.core.specs import trace
from pipelines.steps.byte_words import to_bytes, to_characters, words
from tests.pipelines.steps import hostile


@pytest.fixture(scope="module", name="cut")
def _cut():
    traced = trace(words, tf.TensorSpec((None,), tf.string))
    return lambda texts: [
        [to_bytes(word.decode()) for word in row]
        for row in traced(tf.constant(texts, tf.string)).to_list()
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the film's end", ["the", " film", "'s", " end"]),
        ("we'll 'll", ["we", "'ll", " '", "ll"]),  # after a space the apostrophe joins it
        ("a'st", ["a", "'s", "t"]),
        ("''s", ["''", "s"]),
        ("IT'S", ["IT", "'", "S"]),
        ("a   b", ["a", "  ", " b"]),  # the last space joins the word
        ("a \n\nb", ["a", " \n", "\n", "b"]),  # another white space does not
        ("a\u3000b", ["a", "\u3000", "b"]),
        ("a  ", ["a", "  "]),
        ("x1.5!", ["x", "1", ".", "5", "!"]),
        ("好e\u0301", ["好e", "\u0301"]),  # a combining mark is no letter
        ("", []),
    ],
)
def test_words_are_those_of_gpt2(cut, text, expected):
    assert cut([text.encode()]) == [[word.encode() for word in expected]]


def test_words_of_any_bytes_are_the_text_again_and_each_row_alone(cut):
    content = np.random.default_rng(0).integers(0, 256, 4000, np.uint8).tobytes()
    texts = [content[i * i : (i + 1) ** 2] for i in range(60)]
    texts += [b"\xef\xbb\xbfa", b"\xe4\xbd", b"\xbd\xbdx", b"\xff", b"", b"\xf0\x9f\x98", b"'s"]
    together = cut(texts)
    assert [b"".join(row) for row in together] == texts
    assert all(row == cut([text])[0] for row, text in zip(together[-12:], texts[-12:], strict=True))


def test_words_equal_those_of_the_pattern(cut):
    made = hostile.hugging_face().byte_level(np.zeros((0, 2), np.int32))
    texts = [*hostile.TEXTS, *hostile.drawn(800, 40), *hostile.of_all_characters()]
    expected = [hostile.words(made, text) for text in texts]
    found = cut([text.encode() for text in texts])
    assert [[to_characters(word) for word in row] for row in found] == expected
