"""Gradients as tables and as rows: the same numbers."""

import numpy as np
import tensorflow as tf

from trainers.training import gradients as of

ROWS = tf.IndexedSlices(
    tf.constant([[3.0, 0.0], [1.0, 1.0], [4.0, 0.0]]), tf.constant([2, 0, 2]), tf.constant([4, 2])
)
TABLE = np.array([[1.0, 1.0], [0.0, 0.0], [7.0, 0.0], [0.0, 0.0]], np.float32)


def test_rows_that_repeat_are_added_before_they_are_measured():
    combined = of.combined(ROWS)
    assert sorted(combined.indices.numpy()) == [0, 2]
    np.testing.assert_array_equal(of.dense(combined), TABLE)
    assert float(of.half_square(combined)) == (TABLE**2).sum() / 2
    assert float(of.half_square(ROWS)) != (TABLE**2).sum() / 2


def test_half_square_is_not_finite_where_a_number_is_not():
    for bad in (np.nan, np.inf, 1e30):
        table = TABLE.copy()
        table[3, 1] = bad
        assert not np.isfinite(of.half_square(tf.constant(table)))


def test_scaled_and_added_are_those_of_the_tables():
    other = tf.IndexedSlices(tf.constant([[1.0, 2.0]]), tf.constant([3]), tf.constant([4, 2]))
    total = of.added(ROWS, other)
    assert isinstance(total, tf.IndexedSlices)
    np.testing.assert_array_equal(of.dense(total), TABLE + of.dense(other).numpy())
    np.testing.assert_array_equal(of.added(ROWS, tf.constant(TABLE)), 2 * TABLE)
    for gradient in (ROWS, tf.constant(TABLE)):
        np.testing.assert_array_equal(of.dense(of.scaled(gradient, tf.constant(0.5))), TABLE / 2)
        assert of.values(gradient).shape[-1] == 2
