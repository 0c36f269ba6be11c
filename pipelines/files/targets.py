"""The target of a table: numbers, classes or labels of 0 and 1; and its task."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipelines.core.pipeline import DataError
from pipelines.files import labels
from pipelines.files.columns import FEW, Column
from pipelines.files.shown import shown
from pipelines.files.table_file import NAME
from pipelines.steps.tabular import robust
from zoo.spec import Field

_MAX_HINTED = 100  # with at most this many distinct integers, the other task is mentioned
_MAX_CLASSES = 1000
_VISIBLE = 1e-4  # of the interquartile range: larger rounding errors are too large
_NEAR = 1000  # interquartile ranges from the median; rounding of farther values does not matter
_FLAGS = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0, "no": 0.0, "yes": 1.0}


class Target(NamedTuple):
    """The target of every row in which it is not missing."""

    task: str
    class_names: tuple[str, ...]
    present: np.ndarray  # (N,) bool: rows whose target is not missing
    values: np.ndarray  # of those rows: (M,) int64 or a float, or (M, labels) float32
    outputs: int  # width of the logits
    hint: str = ""  # the other task that was possible

    @property
    def field(self) -> Field:
        """The target of one row; classes have ids."""
        ids = len(self.class_names) if self.values.dtype == np.int64 else None
        return Field(self.values.shape[1:], self.values.dtype.name, ids=ids)

    def summary(self) -> str:
        """One line: the task, and the fraction of each class or the range of values."""
        if not self.class_names:
            return f"{self.task}, {self.values.min():.6g} .. {self.values.max():.6g}{self.hint}"
        several = self.values.ndim > 1
        number = len(self.class_names)
        counts = self.values.sum(axis=0) if several else np.bincount(self.values, minlength=number)
        fractions = [
            f"{shown(name, NAME)} {count / len(self.values):.1%}"
            for name, count in zip(self.class_names, counts, strict=True)
        ]
        more = f", and {len(fractions) - 10} more" if len(fractions) > 10 else ""
        return f"{self.task}: {', '.join(fractions[:10])}{more}{self.hint}"


def floats(values: np.ndarray) -> np.ndarray:
    """Numbers in float32, or in float64 if float32 would round them too much.

    Too much is more than 1e-4 of the range that `robust` scales by, which is usually the
    interquartile range: float32 rounds seconds since 1970 to multiples of 128.
    """
    centre, scale = robust(values)
    rounded = values.astype(np.float32)
    near = np.abs(values - centre) * scale < _NEAR
    lost = np.abs(values[near] - rounded[near]).max(initial=0.0) * scale
    return values if lost > _VISIBLE else rounded


def choose(columns: Sequence[Column], task: str = "") -> Target:
    """The target from one column, or from several columns of 0 and 1.

    Inferred tasks: two distinct values are binary; numbers are a regression, unless they are at
    most 20 distinct integers; all others are classes, in the order of their values. More integers
    that may be either (from 0 or 1 on without a gap, about equally often) are an error.

    Args:
        task: one of TASKS; empty: inferred.

    Raises:
        DataError: the values do not fit the task.
    """
    if task not in ("", *TASKS):
        raise DataError(f"task={task!r} is unknown; expected {', '.join(TASKS)}")
    present = ~np.logical_or.reduce([column.missing for column in columns])
    name = shown(",".join(column.name for column in columns))
    if not present.any():
        raise DataError(f"the target {name} is missing in every row")
    inferred = task or _inferred(columns, present)
    read = TASKS[inferred]
    if len(columns) > 1 and read is not _flags:
        raise DataError(f"task={task} has one target, received {name}")
    return read(inferred, columns, present)._replace(hint="" if task else _hint(columns, inferred))


def _hint(columns: Sequence[Column], task: str) -> str:
    """How to choose the other task, if whole numbers allow both."""
    [column, *_] = columns
    other = {
        "regression": "; task=classification takes them as classes",
        "classification": "; task=regression takes them as numbers",
    }
    whole = column.kind == "number" and not (column.values[~column.missing] % 1).any()
    return other.get(task, "") if whole and column.distinct <= _MAX_HINTED else ""


def _inferred(columns: Sequence[Column], present: np.ndarray) -> str:
    if len(columns) > 1:
        return "multi_label"
    [column] = columns
    values, numeric = column.values[present], column.kind == "number"
    distinct = column.classes or set(values.tolist())
    if len(distinct) == 2:
        return "binary"
    whole = numeric and (values == np.floor(values)).all()
    if numeric and column.reading is not None and column.reading.form:
        return "regression"  # money and percentages are amounts
    if numeric and not (whole and len(distinct) <= FEW):
        if whole and labels.either(values):
            raise DataError(
                f"the target {_name(column)} is {len(distinct)} whole numbers, {values.min():g} to "
                f"{values.max():g}, each about as often: write "
                "--pipeline_options=task=classification if they are classes, or task=regression"
            )
        return "regression"
    return "classification"


def _numbers(task: str, columns: Sequence[Column], present: np.ndarray) -> Target:
    [column] = columns
    values = column.values[present]
    if column.kind != "number":
        some = _some(sorted(set(values.tolist())))
        raise DataError(f"task={task}: the target {_name(column)} is not numeric: {some}")
    return Target(task, (), present, floats(values), outputs=1)


def _two_classes(task: str, columns: Sequence[Column], present: np.ndarray) -> Target:
    target = _classes(task, columns, present)
    if len(target.class_names) > 2:
        raise DataError(
            f"task={task}: the target {_name(columns[0])} has {len(target.class_names)} values"
        )
    return target._replace(outputs=1)


def _classes(task: str, columns: Sequence[Column], present: np.ndarray) -> Target:
    [column] = columns
    values = column.values[present]
    distinct = sorted(set(values.tolist()))
    if len(distinct) < 2:
        raise DataError(
            f"the target {_name(column)} is {_some(distinct)} in every row: there is nothing to "
            "learn"
        )
    if len(distinct) > max(2, min(_MAX_CLASSES, len(values) / 2)):
        raise DataError(
            f"the target {_name(column)} has {len(distinct)} different values in {len(values)} "
            f"rows, too many for classes: {_some(distinct)}"
        )
    shown_as = _text
    if len({*map(_text, distinct)}) < len(distinct):  # equal in 15 digits
        shown_as = repr
    names = column.classes or tuple(map(shown_as, distinct))
    ids = {name: i for i, name in enumerate(names)}
    number = {value: ids[shown_as(value)] for value in distinct}
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
        raise DataError(
            f"each of several targets must be 0 or 1; {_name(column)} has {shown(repr(wrong), 40)}"
        )
    return np.array([_FLAGS[text.lower()] for text in texts], np.float32)


def _text(value: bytes | float) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else f"{value:.15g}"


def _some(distinct: list) -> str:
    return ", ".join(shown(_text(value), 30) for value in distinct[:5])


def _name(column: Column) -> str:
    return shown(column.name, NAME)


# Task -> the function that makes its target from columns.
TASKS: Mapping[str, Callable[[str, Sequence[Column], np.ndarray], Target]] = {
    "regression": _numbers,
    "binary": _two_classes,
    "classification": _classes,
    "multi_label": _flags,
}
