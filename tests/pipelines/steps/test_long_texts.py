"""One long text beside many short ones takes memory for its own words, not for all texts' as many.

TensorFlow's `repeat`, `value_rowids`, `boolean_mask` and `reduce_join` of ragged tensors allocate
texts times the longest one: here that would be 96 GB.
"""

import numpy as np
import pytest
import tensorflow as tf

from pipelines.core.pipeline import Rows
from pipelines.steps import column_words, ngrams, running_words, text
from zoo.spec import Field

TEXTS = np.array([b"a"] * 60_000 + [b"word " * 200_000], object)


@pytest.mark.parametrize("units", [ngrams.words, ngrams.characters])
def test_units_of_ngrams(units):
    found = units(tf.constant(TEXTS))
    last = found.row.numpy() == 60_000
    assert last.sum() in (200_000, 6 * 200_000)  # a space before and after each word
    np.testing.assert_array_equal(found.row.numpy()[~last][[0, -1]], [0, 59_999])


def test_learning_pieces():
    assert "\u2581word" in text.learn_vocabulary(iter([TEXTS]), 60).tolist()


@pytest.mark.parametrize("kind", ["pieces", "bytes", "word_pieces"])
def test_tokens(kind):
    learners = {"bytes": text.byte_bpe.learn, "word_pieces": text.word_piece.learn}
    learn = learners.get(kind, text.learn_vocabulary)
    learnt = learn(iter([TEXTS[-2:]]), 400)
    tokenizer = text.Tokenizer(learnt, 16, codec=text.KINDS[kind].codec)
    tokens = tokenizer({"text": tf.constant(TEXTS)})["tokens"]
    assert tokens.shape == (60_001, 16)
    assert (tokens.numpy()[-1] != 0).all()


def test_words_of_tables():
    part = column_words.fit([tf.constant(TEXTS)])
    assert part["vocabulary"].tolist() == [b"a"]  # the other is in one text alone
    assert part["longest"] == 256


def test_running_words():
    rows = Rows(len(TEXTS), {"text": Field((), "string")}, None, table={"text": TEXTS})
    part = running_words.fit(rows, "text", 10, 2)
    known = running_words.Words(part, 16, "text").all_tokens({"text": tf.constant(TEXTS)})
    np.testing.assert_array_equal(known.row_lengths()[-2:], [2, 200_001])  # and the 0 after each
    assert set(known.flat_values.numpy()[-3:]) == {0, 1}  # "word" is the most frequent
