"""Widths of padded batches: few different ones, enough for every row, each input its own."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from pipelines.core.padding import cut, cut_to_need, rounded, widths_of


def test_rounded_by_hand():
    lengths = [0, 1, 8, 9, 64, 65, 128, 129, 256, 257, 400, 1025]
    expected = [0, 16, 16, 16, 64, 80, 128, 144, 256, 288, 416, 1152]
    np.testing.assert_array_equal(rounded(np.array(lengths)), expected)


def test_rounded_has_at_most_eight_widths_an_octave_and_is_never_too_small():
    length = np.arange(1, 2**16 + 1)
    width = rounded(length)
    assert (width >= length).all()
    assert (np.diff(width) >= 0).all()
    assert (width % 16 == 0).all()
    for octave in range(16):
        inside = (length > 2**octave) & (length <= 2 ** (octave + 1))
        assert len(np.unique(width[inside])) <= 8
    assert (width[length > 128] - length[length > 128]).max() / 2**16 < 1 / 8
    assert len(np.unique(np.minimum(width[:400], 400))) == 21
    assert len(np.unique(width[:2048])) == 40


@given(st.data())
def test_widths_of_each_input_are_enough_for_its_longest_row(data):
    num_rows = data.draw(st.integers(1, 30))
    most = {"a": data.draw(st.integers(1, 300)), "b": data.draw(st.integers(1, 300))}
    lengths = {
        name: np.array(data.draw(st.lists(st.integers(0, n), min_size=num_rows, max_size=num_rows)))
        for name, n in most.items()
    }
    rows = np.array(
        data.draw(
            st.lists(
                st.lists(st.integers(-1, num_rows - 1), min_size=3, max_size=3),
                min_size=1,
                max_size=4,
            )
        )
    )
    widths = widths_of(rows, lengths, most)
    assert widths.shape == (len(rows), 2)
    for step, row in enumerate(rows):
        for i, (name, limit) in enumerate(most.items()):
            needed = max([1, *(lengths[name][r] for r in row if r >= 0)])
            assert needed <= widths[step, i] <= limit
            assert widths[step, i] == min(limit, rounded(np.array([needed]))[0]) or -1 in row


def test_widths_of_unknown_lengths_are_the_largest():
    rows = np.array([[0, 1], [2, -1], [3, 4]])
    np.testing.assert_array_equal(widths_of(rows, None, {"a": 9, "b": 400}), [[9, 400]] * 3)
    assert widths_of(rows, None, {}).shape == (3, 0)


def test_cut_gives_every_padded_input_its_own_width():
    inputs = {"a": tf.ones((2, 20)), "x": tf.ones((2, 20)), "b": tf.ones((2, 30))}
    made = cut(inputs, ("a", "b"), tf.constant([5, 7], tf.int64))
    assert {name: tuple(value.shape) for name, value in made.items()} == {
        "a": (2, 5),
        "x": (2, 20),
        "b": (2, 7),
    }


@pytest.mark.parametrize(
    ("rows", "width"),
    [
        ([[5, 6, 0, 0], [7, 0, 0, 0]], 2),
        ([[0, 0, 0], [0, 0, 0]], 1),
        ([[3, 0, 4, 0]], 3),  # a zero within a row is not its end
        ([[1, 2, 3]], 3),
    ],
)
def test_cut_to_need_keeps_up_to_the_last_number_of_any_row(rows, width):
    made = cut_to_need({"tokens": tf.constant(rows), "x": tf.ones((len(rows), 9))}, ("tokens",))
    np.testing.assert_array_equal(made["tokens"], np.array(rows)[:, :width])
    assert made["x"].shape == (len(rows), 9)


def test_cut_to_need_takes_an_empty_batch():
    made = cut_to_need({"tokens": tf.zeros((0, 6), tf.int32)}, ("tokens",))
    assert made["tokens"].shape == (0, 1)
    assert cut_to_need({"x": tf.ones((2, 3))}, ())["x"].shape == (2, 3)
