"""Properties of characters in a graph."""

import unicodedata

import numpy as np
import tensorflow as tf

from pipelines.steps.characters import WHITE_SPACE, CharacterTable, neighbours


def test_a_table_has_the_value_of_every_character():
    table = CharacterTable(lambda c: unicodedata.category(c).startswith("L"), np.uint8)
    codes = np.array([0, ord("a"), ord("1"), 0xE9, 0x4E2D, 0x1F600, 0x10FFFF])
    expected = [unicodedata.category(chr(code)).startswith("L") for code in codes]
    np.testing.assert_array_equal(table(tf.constant(codes)), expected)


def test_white_space_is_what_python_strips_but_for_separators_of_information():
    every = {chr(code) for code in range(0x110000) if chr(code).isspace()}
    assert every - set(WHITE_SPACE) == set("\x1c\x1d\x1e\x1f")
    assert set(WHITE_SPACE) <= every


def test_neighbours_are_of_the_same_text():
    values = tf.constant([5, 6, 7, 8])
    before, after = neighbours(values, tf.constant([True, False, True, False]), -1)
    np.testing.assert_array_equal(before, [-1, 5, -1, 7])
    np.testing.assert_array_equal(after, [6, -1, 8, -1])
