"""Words of free text as padded ids, by hand."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines.core import specs
from pipelines.steps import column_words
from zoo.spec import Field

TRAINING = ["the bad film", "The film, the film!", "", "good", "a film"]


def fitted(*chunks):
    return column_words.fit(tf.constant(chunk) for chunk in (chunks or (TRAINING,)))


def made(part, *columns) -> np.ndarray:
    return column_words.ids(part)([tf.constant(column) for column in columns]).numpy()


def test_known_words_are_those_of_two_cells_the_most_frequent_first():
    part = fitted()
    # In three cells and two; "," and "!" are words too, but in one cell each.
    assert part["vocabulary"].tolist() == [b"film", b"the"]
    assert part["longest"] == 6
    halves = fitted(TRAINING[:2], TRAINING[2:])
    assert halves["vocabulary"].tolist() == part["vocabulary"].tolist()
    assert column_words.field(part, 2) == Field((2, 6), "int32", ids=4)


def test_ids_are_padded_and_new_words_share_one():
    found = made(fitted(), ["The FILM was bad", "", "  "], ["film film", b"\xff film", "好 the"])
    assert found.dtype == np.int32
    expected = [
        [[3, 2, 1, 1, 0, 0], [2, 2, 0, 0, 0, 0]],
        [[0] * 6, [1, 2, 0, 0, 0, 0]],
        [[0] * 6, [1, 3, 0, 0, 0, 0]],
    ]
    np.testing.assert_array_equal(found, expected)


def test_ids_of_a_long_text_are_its_start_and_its_end():
    part = {"vocabulary": np.array([b"a", b"b", b"c", b"d", b"e", b"f"]), "longest": np.int64(4)}
    np.testing.assert_array_equal(made(part, ["a b c d e f"])[0, 0], [2, 3, 6, 7])
    np.testing.assert_array_equal(made(part, ["a b c d"])[0, 0], [2, 3, 4, 5])
    part["longest"] = np.int64(1)
    np.testing.assert_array_equal(made(part, ["a b c d"])[0, 0], [5])


def test_limits_hold_the_state_small(monkeypatch):
    endless = "x" * 41
    long = fitted([f"{endless} {'y ' * 300}", f"{endless} y"])
    assert long["vocabulary"].tolist() == [b"y"]
    assert long["longest"] == 256
    monkeypatch.setattr(column_words, "_MAX_WORDS", 2)
    # Of words in as many cells the first of the alphabet.
    assert fitted(["d c b a", "a b c d"])["vocabulary"].tolist() == [b"a", b"b"]


@pytest.mark.parametrize("texts", [[""], ["no word occurs twice"]])
def test_texts_without_a_known_word_are_unknown(texts):
    part = fitted(texts)
    assert not len(part["vocabulary"])
    found = made(part, ["some words", ""])
    np.testing.assert_array_equal(found[0, 0, :1], [1])
    assert not found[1].any()


def test_ids_have_a_static_shape_in_a_graph():
    function = column_words.ids(fitted())
    traced = specs.trace(lambda a, b: function([a, b]), *[tf.TensorSpec((None,), tf.string)] * 2)
    assert traced.structured_outputs.shape.as_list() == [None, 2, 6]
    np.testing.assert_array_equal(
        traced(tf.constant(["film"]), tf.constant([""])), function([["film"], [""]])
    )
