"""Checks of stored rows before training; an error names the split, the column and the row."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from pipelines.core import specs
from pipelines.core.pipeline import SPLITS, DataError, Pipeline, Rows, Schema
from zoo.spec import Field

if TYPE_CHECKING:
    from pipelines.core.prepared import Prepared


def check_target(
    schema: Schema, where: str, target: np.ndarray, index: np.ndarray | None = None
) -> None:
    """Refuses targets of an undeclared shape or dtype, out of range of their ids, or not finite.

    A label beyond the classes raises on a CPU but silently becomes NaN on a GPU.

    Args:
        where: the data and the split, for the message.
        target: (N, ...).
        index: (N,) row numbers of these examples in the split; None: 0 to N - 1.

    Raises:
        DataError: names the first such example.
    """
    shape, dtype, ids, _ = schema.target
    stored = _field_of(target)
    if stored.shape != shape or not _can_cast(stored.dtype, dtype):
        first = f", such as {target[0]}" if target.ndim == 1 and len(target) else ""
        raise DataError(
            f"{where}: targets are {stored.dtype} {stored.shape}{first}; expected {dtype} {shape}"
        )
    rows = target.reshape(len(target), -1)
    if ids is not None:
        wrong = np.flatnonzero(((rows < 0) | (rows >= ids)).any(axis=1))
        fault = f"label {{target}} of example {{row}} is not in 0..{ids - 1}"
    elif np.issubdtype(target.dtype, np.floating):
        wrong = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        fault = "target {target} of example {row} is not finite"
    else:
        return
    if len(wrong):
        row = wrong[0] if index is None else index[wrong[0]]
        raise DataError(f"{where}: {fault.format(target=target[wrong[0]], row=row)}")


def check_splits(pipeline: Pipeline, rows: Mapping[str, Rows]) -> None:
    """Raises a DataError if a split is missing or has no examples."""
    missing = [split for split in SPLITS if split not in rows]
    if missing:
        raise DataError(f"{pipeline.name} has no {', '.join(missing)}; it has {', '.join(rows)}")
    empty = [split for split in rows if rows[split].num_rows == 0]
    if empty:
        raise DataError(f"{pipeline.name}: no examples in {', '.join(empty)}")


def check_rows(prepared: "Prepared", rows: Mapping[str, Rows]) -> None:
    """Refuses columns of another shape or dtype, and numbers that `preprocess` leaves not finite.

    A NaN that `preprocess` replaces, such as a missing cell, is accepted. Splits that are read by
    row number are not checked.

    Raises:
        DataError: names the split, the column and the first such example.
    """
    for split, part in rows.items():
        if part.table is not None and not part.are_inputs:
            where = f"{prepared.source} {split}"
            _check_columns(prepared, where, part)
            _check_numbers(prepared, where, part.table)


def _check_columns(prepared: "Prepared", where: str, rows: Rows) -> None:
    needed = {*prepared.raw, *([] if rows.target is None else [rows.target])}
    missing = needed - set(rows.table)
    if missing:
        raise DataError(f"{where} has no {sorted(missing)}; it has {sorted(rows.table)}")
    for name, column in rows.table.items():
        if len(column) != rows.num_rows:
            raise DataError(
                f"{where}: {name} has {len(column)} values for {rows.num_rows} examples"
            )
    if prepared.pipeline.shrink is not None:
        return  # stored columns differ from what a client sends
    for name, field in prepared.raw.items():
        stored = _field_of(rows.table[name])
        shape = tf.TensorShape(stored.shape)
        if stored.dtype != field.dtype or not shape.is_compatible_with(field.shape):
            raise DataError(
                f"{where}: {name} is {stored.dtype} {stored.shape}, {prepared.name} expects "
                f"{field.dtype} {field.shape}"
            )


def _check_numbers(prepared: "Prepared", where: str, table: Mapping[str, np.ndarray]) -> None:
    finite = {
        name: np.isfinite(table[name].reshape(len(table[name]), -1)).all(axis=1)
        for name in prepared.raw
        if np.issubdtype(table[name].dtype, np.floating)
    }
    suspects = np.flatnonzero(~np.logical_and.reduce(list(finite.values()))) if finite else ()
    if not len(suspects):
        return
    preprocess = specs.preprocess_function(prepared.preprocess, tuple(prepared.raw.items()))
    raw = {k: tf.constant(table[k][suspects], field.dtype) for k, field in prepared.raw.items()}
    bad = np.zeros(len(suspects), bool)
    for value in preprocess(raw).values():
        if value.dtype.is_floating:
            bad |= ~np.isfinite(value.numpy().reshape(len(suspects), -1)).all(axis=1)
    if bad.any():
        row = suspects[bad.argmax()]
        names = ", ".join(name for name, column in finite.items() if not column[row])
        raise DataError(
            f"{where}: {names} of example {row} is not finite, and preprocess does not replace it "
            f"({bad.sum()} such examples)"
        )


def _field_of(column: np.ndarray) -> Field:
    return Field(column.shape[1:], "string" if column.dtype == object else column.dtype.name)


def _can_cast(stored: str, declared: str) -> bool:
    if "string" in (stored, declared):
        return stored == declared
    return np.can_cast(stored, declared)
