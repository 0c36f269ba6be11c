"""What the tokenizers share, by hand."""

import numpy as np
import tensorflow as tf

from pipelines.steps import pieces


def test_the_longest_piece_is_taken_from_the_left():
    ids = {"_un": 5, "_u": 6, "n": 7, "believ": 8, "able": 9, "_believ": 10, "ab": 11}
    cut = pieces.LongestMatch(ids, "_")
    found = cut(tf.constant(["unbelievable", "believab", "nun", "", "un"])).to_list()
    # No piece begins with the mark alone or "u"; an empty word is its mark.
    assert found == [[5, 8, 9], [10, 11], [1, 7, 1, 7], [1], [5]]


def test_tokens_lose_their_middle():
    ids = tf.ragged.constant([[10, 11, 12, 13, 14, 15], [20], []], dtype=tf.int32)
    found = pieces.tokens(ids, 5)
    np.testing.assert_array_equal(found, [[2, 10, 11, 14, 15], [2, 20, 0, 0, 0], [2, 0, 0, 0, 0]])


def test_rows_of_splits_with_empty_rows():
    for lengths in ([2, 0, 3], [0, 0, 1], [0, 0], [4]):
        splits = tf.constant(np.cumsum([0, *lengths]), tf.int64)
        expected = np.repeat(np.arange(len(lengths)), lengths)
        np.testing.assert_array_equal(pieces.rows_of(splits), expected)


def test_words_that_are_alike_are_cut_once():
    asked = []

    def cut(words):
        asked.append(words.numpy().tolist())
        return tf.RaggedTensor.from_row_lengths(tf.range(3), [1, 2])

    words = tf.ragged.constant([["a", "b", "a"], [], ["b"]])
    found = pieces.of_words(words, cut)
    assert asked == [[b"a", b"b"]]
    assert found.to_list() == [[0, 1, 2, 0], [], [1, 2]]


def test_boolean_mask_leaves_values_in_their_rows():
    rows = tf.ragged.constant([[1, 2, 3], [], [4], [5, 6]])
    kept = pieces.boolean_mask(rows, tf.constant([False, True, True, False, False, True]))
    assert kept.to_list() == [[2, 3], [], [], [6]]
