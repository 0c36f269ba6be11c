"""Known words by hand: which they are, in which order, and what texts become."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines import DataError
from pipelines.core import rows as rows_module
from pipelines.steps.running_words import Words, fit, vocabulary
from tests.running_text import rows_of

TEXTS = ["The cat, the dog", "a dog A cat", "", "the END", "b"]


def test_words_are_counted_and_ties_go_by_bytes(monkeypatch):
    part = fit(rows_of(TEXTS), "text", vocab_size=4, min_count=2)
    assert vocabulary(part) == ["the", "a", "cat", "dog"]
    assert part["counts"].tolist() == [3, 2, 2, 2]
    assert vocabulary(fit(rows_of(TEXTS), "text", 3, 1)) == ["the", "a", "cat"]
    everything = fit(rows_of(TEXTS), "text", 100, 1)
    assert vocabulary(everything) == ["the", "a", "cat", "dog", ",", "b", "end"]
    monkeypatch.setattr(rows_module, "CHUNK", 2)
    again = fit(rows_of(TEXTS), "text", 100, 1)
    for name, value in everything.items():
        np.testing.assert_array_equal(value, again[name])


def test_texts_without_frequent_words_are_refused():
    with pytest.raises(DataError, match="no word is 4 times in the training texts"):
        fit(rows_of(TEXTS), "text", 100, 4)


@pytest.fixture(scope="module", name="words")
def _words():
    return Words(fit(rows_of(TEXTS), "text", 4, 2), 3, "text")


def test_unknown_words_are_left_out_and_rows_are_cut_and_padded(words):
    texts = tf.constant(["a new dog", "the the the the", b"\xff", ""])
    assert words({"text": texts})["words"].numpy().tolist() == [
        [2, 4, 0],
        [1] * 3,
        [0] * 3,
        [0] * 3,
    ]
    running = words.all_tokens({"text": texts})
    assert running.to_list() == [[2, 4, 0], [1, 1, 1, 1, 0], [0], [0]]


def test_a_word_is_known_in_any_case_and_alone(words):
    asked = ["Dog", " dog ", "DOG.", "the dog", "", "zebra"]
    ids = words.ids_of(tf.constant(asked))
    assert ids.numpy().tolist() == [4, 4, 0, 0, 0, 0]
    assert words.texts_of(ids).numpy().tolist() == [b"dog", b"dog", b"", b"", b"", b""]
