"""A plan's order as a tf.data data set: the row numbers of each step, before any row is read."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from pipelines.core.padding import widths_of
from pipelines.core.plan import Plan
from pipelines.core.tf_data import refuse_at_exit

# Rows of an epoch that are ordered together: about 10 ms of a Feistel network, which prefetched
# batches hide; 2^20 rows would delay the first step, and later ones, by a second.
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
        columns: the part of each batch that this worker takes, if there are several.
        lengths: padded input -> (num_rows,) length of each row.
        most: padded input -> its maximum width; the widths of a step are in this order.
    """
    local_batch_size = len(range(plan.batch_size)[columns])
    chunk = max(1, _ROWS_AT_A_TIME // plan.batch_size)  # steps
    chunks = -(-plan.steps // chunk)  # per epoch

    def rows_of(number: np.int64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        epoch, first = number // chunks, (number % chunks) * chunk
        rows = plan.rows(int(epoch), int(first), min(int(first) + chunk, plan.steps))
        widths = widths_of(rows, lengths, most or {})  # of the whole batch: equal on all workers
        return np.full(len(rows), epoch, np.int64), rows[:, columns], widths

    @tf.autograph.experimental.do_not_convert
    def steps_of(number: tf.Tensor) -> tf.data.Dataset:
        dtypes = (tf.int64, tf.int64, tf.int64)
        tensors = tf.numpy_function(refuse_at_exit(rows_of), [number], dtypes)
        shapes = (None,), (None, local_batch_size), (None, len(most or {}))
        steps = (tf.ensure_shape(t, shape) for t, shape in zip(tensors, shapes, strict=True))
        return tf.data.Dataset.from_tensor_slices(tuple(steps))

    epoch, step = divmod(start_step, plan.steps)
    numbers = tf.data.Dataset.counter(epoch * chunks + step // chunk)
    if plan.endless:
        return numbers.flat_map(steps_of).skip(step % chunk)
    remaining = max(0, plan.steps - start_step)
    steps = numbers.take(chunks).flat_map(steps_of).skip(step % chunk).take(remaining)
    return steps.apply(tf.data.experimental.assert_cardinality(remaining))
