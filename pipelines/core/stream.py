"""Prepared rows in, batches of (x, y, weight) out, as a pure function of (seed, step)."""

import numpy as np
import tensorflow as tf

from pipelines import Pipeline, Rows
from pipelines.core.keys import Keys
from pipelines.core.plan import evaluation_plan, plan
from pipelines.core.specs import cut, example_of, preprocess_function
from pipelines.core.tf_data import until_exit, untuned

RAM_BUDGET = 4 * 2**30  # bytes that the rows of one split may take in memory
_WIDTHS = 16  # padded batches are cut to a multiple of this
_CHUNK = 1024  # rows preprocessed at a time when the table is made


def num_steps(pipeline: Pipeline, split: str, *, batch_size: int, training: bool) -> int:
    """Steps of one pass over the split: whole batches in training, all examples in evaluation."""
    num_rows = pipeline.rows[split].num_rows
    return num_rows // batch_size if training else -(-num_rows // batch_size)


def stream(
    pipeline: Pipeline,
    split: str,
    *,
    batch_size: int,
    training: bool,
    seed: int,
    start_step: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Batches of (x, y, weight) from step `start_step` on.

    Training never ends: epoch follows epoch, each by its own plan, and the trainer says how many
    steps it takes. Evaluation is one pass that drops no example: the last batch is filled up with
    examples of weight 0.

    Args:
        pipeline: with its rows (`pipelines.prepared`).
        batch_size: examples a step over all shards together.
        start_step: steps to leave out, as if they had been taken.
        shard: (i, n) yields worker i's columns of every batch; n divides `batch_size`.

    Raises:
        ValueError: the split does not fill one batch, or `batch_size` does not divide by n.
    """
    shard_index, num_shards = shard
    if batch_size % num_shards:
        raise ValueError(f"batch_size {batch_size} does not divide over {num_shards} shards")
    width = batch_size // num_shards
    columns = slice(shard_index * width, (shard_index + 1) * width)
    rows = pipeline.rows[split]
    augment = pipeline.augment if training else None
    preprocess, example = pipeline.preprocess, example_of(pipeline)
    if augment is None and rows.table is not None:
        table = preprocessed_table(pipeline, rows)
        if table is not None:
            rows, preprocess = rows._replace(table=table), None

    lengths = None
    if pipeline.padded and preprocess is None:  # the table holds what was padded
        counts = [np.count_nonzero(rows.table[name], axis=1) for name in pipeline.padded]
        lengths = np.maximum.reduce(counts)
    if training:
        order = _training_order(rows.num_rows, batch_size, seed, start_step, columns, lengths)
    else:
        order = _evaluation_order(rows.num_rows, batch_size, start_step, columns, lengths)
    take = _reader(rows)

    @tf.autograph.experimental.do_not_convert
    def assemble(epoch: tf.Tensor, index: tf.Tensor, width: tf.Tensor) -> tuple:
        real = index >= 0
        keys = Keys(tf.constant(seed, tf.int64), epoch, tf.maximum(index, 0))
        raw, target = take(keys.index)
        if augment is not None:
            raw, target = augment(raw, target, keys)
        inputs = cut(pipeline, raw if preprocess is None else preprocess(raw), width)
        x, y, weight = example(inputs, target, keys)
        weight = weight * tf.cast(
            tf.reshape(real, [-1] + [1] * (weight.shape.rank - 1)), weight.dtype
        )
        return x, y, weight

    in_memory = rows.table is not None
    # One thread feeds the steps: more would take cores from the training kernels.
    threads = 1 if in_memory else 4
    dataset = order.map(assemble, num_parallel_calls=threads)
    options = untuned()
    options.threading.private_threadpool_size = threads
    options.threading.max_intra_op_parallelism = 1
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    options.deterministic = True
    return dataset.prefetch(4).with_options(options)


def _training_order(
    num_rows: int,
    batch_size: int,
    seed: int,
    start_step: int,
    columns: slice,
    lengths: np.ndarray | None,
) -> tf.data.Dataset:
    """(epoch, row numbers, places needed) of every step from `start_step` on, without end."""
    steps, share = num_rows // batch_size, columns.stop - columns.start

    def rows_of(epoch: np.int64) -> tuple[np.ndarray, np.ndarray]:
        order = plan(num_rows, batch_size=batch_size, seed=seed, epoch=int(epoch), lengths=lengths)
        return order[:, columns], _widths(order, lengths)

    @tf.autograph.experimental.do_not_convert
    def steps_of(epoch: tf.Tensor) -> tf.data.Dataset:
        order, widths = tf.numpy_function(until_exit(rows_of), [epoch], (tf.int64, tf.int64))
        order, widths = tf.ensure_shape(order, (steps, share)), tf.ensure_shape(widths, (steps,))
        return tf.data.Dataset.from_tensor_slices((tf.repeat(epoch, steps), order, widths))

    rows_of(np.int64(0))  # too few rows are refused here, not inside the data set
    return tf.data.Dataset.counter(start_step // steps).flat_map(steps_of).skip(start_step % steps)


def _evaluation_order(
    num_rows: int, batch_size: int, start_step: int, columns: slice, lengths: np.ndarray | None
) -> tf.data.Dataset:
    """(0, row numbers, places needed) of one pass; -1 where the last batch is filled up."""
    order = evaluation_plan(num_rows, batch_size=batch_size)[start_step:]
    epoch = np.zeros(len(order), np.int64)
    return tf.data.Dataset.from_tensor_slices((epoch, order[:, columns], _widths(order, lengths)))


def _widths(order: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
    """Places that the longest row of each step needs, over all shards, in a few different sizes."""
    if lengths is None:
        return np.full(len(order), np.iinfo(np.int32).max, np.int64)
    longest = np.maximum(lengths[np.maximum(order, 0)].max(axis=1), 1)
    return -(-longest // _WIDTHS) * _WIDTHS


def preprocessed_table(pipeline: Pipeline, rows: Rows) -> dict[str, np.ndarray] | None:
    """The table after `preprocess`, or None where it would be too large.

    Texts are worth any table that fits the memory budget. Pixels are not: floats are read slower,
    at four bytes each, than made again from bytes.
    """
    size = sum(
        np.prod([rows.num_rows, *(n or 1 for n in field.shape)]) * tf.as_dtype(field.dtype).size
        for field in pipeline.served.values()
    )
    texts = any(rows.fields[name].dtype == "string" for name in pipeline.raw)
    grown = size > 2 * sum(rows.table[name].nbytes for name in pipeline.raw)
    if size > RAM_BUDGET or (grown and not texts):
        return None
    stored = tuple((name, rows.fields[name]) for name in pipeline.raw)
    preprocess = preprocess_function(pipeline.preprocess, stored)
    table: dict[str, np.ndarray] = {}
    for first in range(0, rows.num_rows, _CHUNK):
        places = slice(first, first + _CHUNK)
        chunk = preprocess({name: tf.constant(rows.table[name][places]) for name in pipeline.raw})
        for name, column in chunk.items():
            if name not in table:  # joined at the end, half a gigabyte would be there twice
                shape = (rows.num_rows, *column.shape[1:])
                table[name] = np.empty(shape, column.dtype.as_numpy_dtype)
            table[name][places] = column
    return {**table, pipeline.target: rows.table[pipeline.target]}


def _reader(rows: Rows):
    """A function of row numbers (B,) that returns their fields and their target."""
    if rows.table is not None:
        # Put on the device once: captured, it is neither copied into the graph nor read again.
        with tf.device("CPU:0"):
            table = {name: tf.constant(column) for name, column in rows.table.items()}
        fields = {name: column for name, column in table.items() if name != rows.target}

        def take(index: tf.Tensor):
            taken = {name: tf.gather(column, index) for name, column in fields.items()}
            return taken, tf.gather(table[rows.target], index)

        return take

    names = sorted(rows.fields)
    specs = [rows.fields[name] for name in names]

    def read(index: np.ndarray) -> list[np.ndarray]:
        batch = rows.read(index)
        return [
            np.asarray(batch[name], spec.dtype) for name, spec in zip(names, specs, strict=True)
        ]

    def take(index: tf.Tensor):
        dtypes = [tf.as_dtype(spec.dtype) for spec in specs]
        columns = tf.numpy_function(until_exit(read), [index], dtypes)
        taken = {
            name: tf.ensure_shape(column, (*index.shape, *spec.shape))
            for name, spec, column in zip(names, specs, columns, strict=True)
        }
        target = taken.pop(rows.target)
        return taken, target

    return take
