"""Reading rows of a split, and turning them into inputs."""

import collections
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent import futures
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from pipelines.core import specs
from pipelines.core.pipeline import Rows, Table, Tensors
from pipelines.core.tf_data import refuse_at_exit
from pipelines.storage import arranged
from pipelines.storage.progress import progress
from zoo.spec import Field

if TYPE_CHECKING:
    from pipelines.core.prepared import Prepared

RAM_BUDGET = 4 * 2**30  # bytes of memory for the rows of one split
CHUNK = 1024  # rows read or preprocessed at a time
_THREADS = 2  # for preprocessing: operations on texts take one core each


def take(rows: Rows, index: np.ndarray) -> dict[str, np.ndarray]:
    """The stored columns of the rows at `index` (n,)."""
    if rows.table is not None:
        return {name: column[index] for name, column in rows.table.items()}
    if rows.read is not None:
        return dict(rows.read(index))
    return {name: tensor.numpy() for name, tensor in rows.take(tf.constant(index)).items()}


def chunks(rows: Rows, index: np.ndarray | None = None) -> Iterator[Table]:
    """The rows at `index` (n,), in chunks of a thousand; None: all rows, in stored order."""
    index = np.arange(rows.num_rows) if index is None else index
    for first in range(0, len(index), CHUNK):
        yield take(rows, index[first : first + CHUNK])


def spaced(number: int, most: int) -> np.ndarray:
    """At most `most` of `number` row numbers, evenly spaced: (n,)."""
    return np.linspace(0, number - 1, min(number, most)).astype(np.int64)


def targets(rows: Rows) -> np.ndarray:
    """The target of every row: (num_rows, ...)."""
    if rows.table is not None:
        return rows.table[rows.target]
    return np.concatenate([chunk[rows.target] for chunk in chunks(rows)])


def subset(rows: Rows, index: np.ndarray, identity: str) -> Rows:
    """The rows at `index` (n,), in whichever form they are stored.

    Args:
        identity: of the result, for rows on disk.
    """
    changes = {"num_rows": len(index), "identity": identity, "lengths": None}
    if rows.table is not None:
        changes["table"] = {name: column[index] for name, column in rows.table.items()}
    if rows.read is not None:
        changes["read"] = lambda chosen: rows.read(index[chosen])
    if rows.take is not None:
        changes["take"] = lambda chosen: rows.take(tf.gather(index, chosen))
    return rows._replace(**changes)


def without_target(rows: Rows) -> Rows:
    """The rows of a table or a reader, without their target's column."""

    def others(columns):
        return {name: column for name, column in columns.items() if name != rows.target}

    changed = rows._replace(target=None, fields=others(rows.fields))
    if rows.table is not None:
        return changed._replace(table=others(rows.table))
    return changed._replace(read=lambda index: others(rows.read(index)))


def rename_clashing_target(rows: Rows, inputs: Collection[str]) -> Rows:
    """The rows, with the target's column renamed if an input has the same name.

    Inputs and target are stored together, and a table may have a target called "features".
    """
    if rows.target not in inputs:
        return rows
    old, new = rows.target, rows.target
    while new in inputs or new in rows.fields:
        new = f"{new} as target"

    def renamed(columns):
        return {new if name == old else name: column for name, column in columns.items()}

    changed = rows._replace(fields=renamed(rows.fields), target=new)
    if rows.table is not None:
        return changed._replace(table=renamed(rows.table))
    if rows.read is not None:
        return changed._replace(read=lambda index: renamed(rows.read(index)))
    return changed._replace(take=lambda index: renamed(rows.take(index)))


def encoded(rows: Rows, encode: Callable) -> Rows:
    """The rows with encoded targets: at once if they are in memory, otherwise when read."""
    name, field = rows.target, rows.fields[rows.target]

    def columns(table: Table) -> dict[str, np.ndarray]:
        return {**table, name: encode(tf.constant(table[name], field.dtype)).numpy()}

    def tensors(taken: Tensors) -> dict[str, tf.Tensor]:
        return {**taken, name: encode(taken[name])}

    changed = rows._replace(fields={**rows.fields, name: specs.field_after(encode, field)})
    if rows.table is not None:
        return changed._replace(table=columns(rows.table))
    if rows.read is not None:
        return changed._replace(read=lambda index: columns(rows.read(index)))
    return changed._replace(take=lambda index: tensors(rows.take(index)))


def ready(prepared: "Prepared", rows: Rows) -> Rows:
    """The rows as inputs, preprocessed once, or the raw rows if that would not be faster.

    Sequences are always preprocessed: tokens are stored without their padding, in memory or, for
    rows on disk, in a file beside them. Images are not: reading four bytes per pixel is slower than
    converting one.
    """
    if rows.are_inputs:
        return rows
    if prepared.pipeline.arrange is not None:
        return prepared.pipeline.arrange(rows, prepared.preprocess)._replace(are_inputs=True)
    lengths = {name: prepared.serving_inputs[name].length for name in prepared.padded}
    if lengths:
        inputs = _preprocessed(prepared, rows)
        if rows.table is not None:
            return arranged.in_memory(inputs, rows, lengths)
        return arranged.on_disk(inputs, rows, lengths, arranged.key(prepared, rows))
    if rows.table is None or _grows(prepared, rows):
        return rows
    columns: dict[str, np.ndarray] = {}
    for i, chunk in enumerate(_preprocessed(prepared, rows)):
        for name, column in chunk.items():
            if name not in columns:  # allocated once: concatenating would need twice the memory
                columns[name] = np.empty((rows.num_rows, *column.shape[1:]), column.dtype)
            columns[name][i * CHUNK : (i + 1) * CHUNK] = column
    fields = {name: Field(c.shape[1:], c.dtype.name) for name, c in columns.items()}
    if rows.target is not None:
        fields[rows.target] = rows.fields[rows.target]
    return rows._replace(fields=fields, table=columns, are_inputs=True)


def reader(rows: Rows) -> Callable:
    """A graph function of row numbers (B,) that returns their columns and their target."""
    if rows.take is not None:
        take_columns = rows.take
    elif rows.table is not None:
        take_columns = _gather(rows)
    else:
        take_columns = _call(rows)

    def read(index: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor | None]:
        columns = dict(take_columns(index))
        target = None if rows.target is None else columns.pop(rows.target)
        return columns, target

    return read


def _gather(rows: Rows) -> Callable:
    # Captured as tensors, so that the table is not copied into the graph.
    with tf.device("CPU:0"):
        table = {name: tf.constant(column) for name, column in rows.table.items()}
    return lambda index: {name: tf.gather(column, index) for name, column in table.items()}


def _call(rows: Rows) -> Callable:
    names = sorted(rows.fields)
    fields = [rows.fields[name] for name in names]

    def read(index: np.ndarray) -> list[np.ndarray]:
        batch = rows.read(index)
        return [np.asarray(batch[n], field.dtype) for n, field in zip(names, fields, strict=True)]

    def take_columns(index: tf.Tensor) -> dict[str, tf.Tensor]:
        dtypes = [tf.as_dtype(field.dtype) for field in fields]
        columns = tf.numpy_function(refuse_at_exit(read), [index], dtypes)
        return {
            name: tf.ensure_shape(column, (*index.shape, *field.shape))
            for name, field, column in zip(names, fields, columns, strict=True)
        }

    return take_columns


def _preprocessed(prepared: "Prepared", rows: Rows) -> Iterator[Table]:
    """The inputs of all rows with their target, a thousand at a time."""
    stored = tuple((name, rows.fields[name]) for name in prepared.raw)
    preprocess = specs.preprocess_function(prepared.preprocess, stored)

    def made(chunk: Table) -> Table:
        raw = {name: tf.constant(chunk[name], field.dtype) for name, field in stored}
        inputs = {name: tensor.numpy() for name, tensor in preprocess(raw).items()}
        return inputs if rows.target is None else {**inputs, rows.target: chunk[rows.target]}

    read = progress(chunks(rows), -(-rows.num_rows // CHUNK), f"{prepared.name}: preprocessing")
    return threaded(made, read)


def threaded(function: Callable, items: Iterable) -> Iterator:
    """`function(item)` of each item, in order; two threads work ahead."""
    waiting: collections.deque = collections.deque()
    with futures.ThreadPoolExecutor(_THREADS) as threads:
        for item in items:
            waiting.append(threads.submit(function, item))
            if len(waiting) > _THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _grows(prepared: "Prepared", rows: Rows) -> bool:
    """Whether the inputs exceed the memory budget, or twice the raw rows' memory.

    The second test does not apply to rows with text fields.
    """
    size = sum(
        np.prod([rows.num_rows, *(n or 1 for n in field.shape)]) * tf.as_dtype(field.dtype).size
        for field in prepared.serving_inputs.values()
    )
    texts = any(rows.fields[name].dtype == "string" for name in prepared.raw)
    grown = size > 2 * sum(rows.table[name].nbytes for name in prepared.raw)
    return bool(size > RAM_BUDGET or (grown and not texts))
