"""Properties of characters in a graph."""

import unicodedata

import numpy as np
import pytest
import tensorflow as tf

from pipelines.steps.characters import WHITE_SPACE, CharacterTable, in_lower_case, neighbours
from tests.conftest import run_python


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


def test_lower_case_goes_on_after_a_nul():
    given = [b"Good\0BAD \xc3\x89T\xc3\x89", "\u0130I \u5357".encode()]
    expected = ["good bad \u00e9t\u00e9".encode(), "i\u0307i \u5357".encode()]
    assert in_lower_case(tf.constant(given)).numpy().tolist() == expected


# Letters of Latin, Greek and Cyrillic scripts, one by one and before a mark above.
_PROGRAM = """
import tensorflow as tf
from pipelines.steps.characters import in_lower_case
letters = [chr(c) + mark for c in range(0x20, 0x600) for mark in ("", chr(0x301))]
assert tf.strings.lower("\u00cdI", "utf-8").numpy().decode() != "\u00edi"  # of TensorFlow alone
for one, small in zip(letters, in_lower_case(tf.constant(letters)).numpy(), strict=True):
    assert small.decode() == one.lower(), one
"""


@pytest.mark.parametrize("locale", ["tr_TR", pytest.param("lt_LT", marks=pytest.mark.slow)])
def test_lower_case_is_the_same_in_every_language(locale):
    """A small I has no dot in Turkish, and two marks in Lithuanian."""
    run_python("-c", _PROGRAM, LC_ALL=f"{locale}.UTF-8")
