"""The target of a table: numbers, classes or labels of 0 and 1, and the task they make."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipelines.core.pipeline import DataError
from pipelines.files.columns import Column
from zoo.spec import Field

_FEW = 20  # distinct integers up to which a target is a class
_MOST_CLASSES = 1000
_FLAGS = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0, "no": 0.0, "yes": 1.0}


class Target(NamedTuple):
    """The target of every row in which it is not missing."""

    task: str
    class_names: tuple[str, ...]
    present: np.ndarray  # (N,) bool: rows whose target is not missing
    values: np.ndarray  # of those rows: (M,) int64 or float32, or (M, labels) float32
    outputs: int  # width of the logits

    @property
    def field(self) -> Field:
        """The target of one row; classes have ids."""
        ids = len(self.class_names) if self.values.dtype == np.int64 else None
        return Field(self.values.shape[1:], self.values.dtype.name, ids=ids)

    def summary(self) -> str:
        """One line: the task, and the fraction of each class or the range of values."""
        if not self.class_names:
            return f"{self.task}, {self.values.min():.6g} .. {self.values.max():.6g}"
        several = self.values.ndim > 1
        number = len(self.class_names)
        counts = self.values.sum(axis=0) if several else np.bincount(self.values, minlength=number)
        fractions = [
            f"{name} {count / len(self.values):.1%}"
            for name, count in zip(self.class_names, counts, strict=True)
        ]
        more = f", and {len(fractions) - 10} more" if len(fractions) > 10 else ""
        return f"{self.task}: {', '.join(fractions[:10])}{more}"


def choose(columns: Sequence[Column], task: str = "") -> Target:
    """The target from one column, or from several columns of 0 and 1.

    Inferred tasks: two distinct values are binary; numbers are a regression, unless they are at
    most 20 distinct integers; the rest are classes, in the order of their values.

    Args:
        task: one of TASKS; empty: inferred.

    Raises:
        DataError: the values do not fit the task.
    """
    if task not in ("", *TASKS):
        raise DataError(f"task={task!r} is unknown; expected {', '.join(TASKS)}")
    present = ~np.logical_or.reduce([column.missing for column in columns])
    name = ",".join(column.name for column in columns)
    if not present.any():
        raise DataError(f"the target {name} is missing in every row")
    task = task or _inferred(columns, present)
    read = TASKS[task]
    if len(columns) > 1 and read is not _flags:
        raise DataError(f"task={task} has one target, received {name}")
    return read(task, columns, present)


def _inferred(columns: Sequence[Column], present: np.ndarray) -> str:
    if len(columns) > 1:
        return "multi_label"
    [column] = columns
    values, numeric = column.values[present], column.kind == "number"
    distinct = column.classes or set(values.tolist())
    if len(distinct) == 2:
        return "binary"
    whole = numeric and (values == np.floor(values)).all()
    if numeric and not (whole and len(distinct) <= _FEW):
        return "regression"
    return "classification"


def _numbers(task: str, columns: Sequence[Column], present: np.ndarray) -> Target:
    [column] = columns
    values = column.values[present]
    if column.kind != "number":
        shown = _some(sorted(set(values.tolist())))
        raise DataError(f"task={task}: the target {column.name} is not numeric: {shown}")
    return Target(task, (), present, values.astype(np.float32), outputs=1)


def _two_classes(task: str, columns: Sequence[Column], present: np.ndarray) -> Target:
    target = _classes(task, columns, present)
    if len(target.class_names) > 2:
        raise DataError(
            f"task={task}: the target {columns[0].name} has {len(target.class_names)} values"
        )
    return target._replace(outputs=1)


def _classes(task: str, columns: Sequence[Column], present: np.ndarray) -> Target:
    [column] = columns
    values = column.values[present]
    distinct = sorted(set(values.tolist()))
    if len(distinct) < 2:
        raise DataError(
            f"the target {column.name} is {_some(distinct)} in every row: there is nothing to learn"
        )
    if len(distinct) > max(2, min(_MOST_CLASSES, len(values) / 2)):
        raise DataError(
            f"the target {column.name} has {len(distinct)} different values in {len(values)} rows, "
            f"too many for classes: {_some(distinct)}"
        )
    names = column.classes or tuple(map(_text, distinct))
    ids = {name: i for i, name in enumerate(names)}
    number = {value: ids[_text(value)] for value in distinct}
    labels = np.array([number[value] for value in values.tolist()], np.int64)
    return Target(task, names, present, labels, outputs=len(names))


def _flags(task: str, columns: Sequence[Column], present: np.ndarray) -> Target:
    flags = [_flag_values(column, column.values[present]) for column in columns]
    names = tuple(column.name for column in columns)
    return Target(task, names, present, np.stack(flags, axis=1), outputs=len(names))


def _flag_values(column: Column, values: np.ndarray) -> np.ndarray:
    texts = [_text(value) for value in values.tolist()]
    wrong = next((text for text in texts if text.lower() not in _FLAGS), None)
    if wrong is not None:
        raise DataError(f"each of several targets must be 0 or 1; {column.name} has {wrong!r}")
    return np.array([_FLAGS[text.lower()] for text in texts], np.float32)


def _text(value: bytes | float) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else f"{value:.15g}"


def _some(distinct: list) -> str:
    return ", ".join(_text(value)[:30] for value in distinct[:5])


# Task -> the function that makes its target from columns.
TASKS: Mapping[str, Callable[[str, Sequence[Column], np.ndarray], Target]] = {
    "regression": _numbers,
    "binary": _two_classes,
    "classification": _classes,
    "multi_label": _flags,
}
