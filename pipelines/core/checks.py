"""What stored rows must be before a model may learn from them; what is not is named by its row."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from pipelines import DataError, Pipeline, Rows
from pipelines.core import specs
from zoo.spec import Field


def check_target(
    pipeline: Pipeline, split: str, target: np.ndarray, index: np.ndarray | None = None
) -> None:
    """Refuses targets of another type than declared, of no class, or that are no numbers.

    A wrong label is an error on a CPU, but NaN without a word on a GPU.

    Args:
        target: (N,) or (N, labels).
        index: (N,) numbers of these examples in the split; None: they are all of it.

    Raises:
        DataError: it names the first such example.
    """
    shape, dtype = specs.target(pipeline)
    where = f"{pipeline.source} {split}"
    if target.shape[1:] != shape or not np.can_cast(target.dtype, dtype):
        first = f", such as {target[0]}" if target.ndim == 1 and len(target) else ""
        raise DataError(
            f"{where}: labels are {target.dtype} {target.shape[1:]}{first}; expected {dtype} "
            f"{shape}"
        )
    if pipeline.task in ("regression", "multi_label"):
        wrong = np.flatnonzero(~np.isfinite(target.reshape(len(target), -1)).all(axis=1))
        fault = "target {target} of example {row} is not finite"
    else:
        num_classes = len(pipeline.class_names)
        wrong = np.flatnonzero((target < 0) | (target >= num_classes))
        fault = f"label {{target}} of example {{row}} is not in 0..{num_classes - 1}"
    if len(wrong):
        row = wrong[0] if index is None else index[wrong[0]]
        raise DataError(f"{where}: {fault.format(target=target[wrong[0]], row=row)}")


def check_rows(pipeline: Pipeline, rows: Mapping[str, Rows]) -> None:
    """Refuses empty splits, columns of other shapes than declared, and numbers that stay NaN.

    A NaN or an infinity that `preprocess` makes a number of, as where it stands for a missing cell,
    is no fault. Splits that are read by number are not looked through.

    Args:
        pipeline: bound, so that `preprocess` is there.

    Raises:
        DataError: it names the split, the column and the first such example.
    """
    empty = [split for split in rows if rows[split].num_rows == 0]
    if empty:
        raise DataError(f"{pipeline.name}: no examples in {', '.join(empty)}")
    for split, found in rows.items():
        if found.table is not None:
            _check_columns(pipeline, split, found)
            _check_numbers(pipeline, split, found.table)


def _check_columns(pipeline: Pipeline, split: str, rows: Rows) -> None:
    where = f"{pipeline.source} {split}"
    missing = {*pipeline.raw, pipeline.target} - set(rows.table)
    if missing:
        raise DataError(f"{where} has no {sorted(missing)}; it has {sorted(rows.table)}")
    for name, column in rows.table.items():
        if len(column) != rows.num_rows:
            raise DataError(
                f"{where}: {name} has {len(column)} values for {rows.num_rows} examples"
            )
    if pipeline.store is not None:
        return  # it is kept otherwise than a client sends it
    for name, field in pipeline.raw.items():
        column = rows.table[name]
        found = Field(column.shape[1:], "string" if column.dtype == object else column.dtype.name)
        if found.dtype != field.dtype or not tf.TensorShape(found.shape).is_compatible_with(
            field.shape
        ):
            raise DataError(f"{where}: {name} is {found}, {pipeline.name} expects {field}")


def _check_numbers(pipeline: Pipeline, split: str, table: Mapping[str, np.ndarray]) -> None:
    finite = {
        name: np.isfinite(table[name].reshape(len(table[name]), -1)).all(axis=1)
        for name in pipeline.raw
        if np.issubdtype(table[name].dtype, np.floating)
    }
    odd = np.flatnonzero(~np.logical_and.reduce(list(finite.values()))) if finite else ()
    if not len(odd):
        return
    preprocess = specs.preprocess_function(pipeline.preprocess, tuple(pipeline.raw.items()))
    raw = {k: tf.constant(table[k][odd], field.dtype) for k, field in pipeline.raw.items()}
    bad = np.zeros(len(odd), bool)
    for value in preprocess(raw).values():
        if value.dtype.is_floating:
            bad |= ~np.isfinite(value.numpy().reshape(len(odd), -1)).all(axis=1)
    if bad.any():
        row = odd[bad.argmax()]
        names = ", ".join(name for name, column in finite.items() if not column[row])
        raise DataError(
            f"{pipeline.source} {split}: {names} of example {row} is not finite, and preprocess "
            f"makes no number of it ({bad.sum()} such examples)"
        )
