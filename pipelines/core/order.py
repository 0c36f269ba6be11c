"""The order of a plan as a data set: which rows make each step, before any row is read."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from pipelines.core.padding import widths_of
from pipelines.core.plan import Plan
from pipelines.core.tf_data import refuse_at_exit

# Of an epoch that are ordered together: some 10 ms of a Feistel network, for which batches that
# are made ahead suffice; 2^20 rows would hold up the first step, and others, for a second.
_ROWS_AT_A_TIME = 2**13


def order(
    plan: Plan,
    *,
    start_step: int = 0,
    columns: slice = slice(None),
    lengths: Mapping[str, np.ndarray] | None = None,
    most: Mapping[str, int] | None = None,
) -> tf.data.Dataset:
    """(epoch (), row numbers (B,), widths (P,)) of every step from `start_step` on.

    Args:
        columns: the part of each batch that one of several workers takes.
        lengths: padded input -> (num_rows,) length of each row.
        most: padded input -> its greatest width; the widths of a step are in this order.
    """
    local_batch_size = len(range(plan.batch_size)[columns])
    chunk = max(1, _ROWS_AT_A_TIME // plan.batch_size)  # steps
    chunks = -(-plan.steps // chunk)  # of an epoch

    def rows_of(number: np.int64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        epoch, first = number // chunks, (number % chunks) * chunk
        rows = plan.rows(int(epoch), int(first), min(int(first) + chunk, plan.steps))
        widths = widths_of(rows, lengths, most or {})  # of the whole batch, for all workers
        return np.full(len(rows), epoch, np.int64), rows[:, columns], widths

    @tf.autograph.experimental.do_not_convert
    def steps_of(number: tf.Tensor) -> tf.data.Dataset:
        made = tf.numpy_function(refuse_at_exit(rows_of), [number], (tf.int64, tf.int64, tf.int64))
        shapes = (None,), (None, local_batch_size), (None, len(most or {}))
        steps = (tf.ensure_shape(t, shape) for t, shape in zip(made, shapes, strict=True))
        return tf.data.Dataset.from_tensor_slices(tuple(steps))

    epoch, step = divmod(start_step, plan.steps)
    numbers = tf.data.Dataset.counter(epoch * chunks + step // chunk)
    if plan.endless:
        return numbers.flat_map(steps_of).skip(step % chunk)
    left = max(0, plan.steps - start_step)
    steps = numbers.take(chunks).flat_map(steps_of).skip(step % chunk).take(left)
    return steps.apply(tf.data.experimental.assert_cardinality(left))
