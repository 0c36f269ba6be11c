"""What is predicted from a table: the task that a target's values stand for, and its numbers."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipelines import DataError
from pipelines.files.columns import Column

TASKS = ("regression", "binary", "classification", "multi_label")
_FEW = 20  # different whole numbers that are still taken as classes
_MOST_CLASSES = 1000
_FLAGS = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0, "no": 0.0, "yes": 1.0}


class Target(NamedTuple):
    """The target of every row that has one."""

    task: str
    class_names: tuple[str, ...]
    present: np.ndarray  # (N,) bool: rows that have a target
    values: np.ndarray  # of those: (M,) int64 or float32, or (M, labels) float32

    def told(self) -> str:
        """The task with its classes and their shares, or its range, in one line."""
        if self.task == "regression":
            return f"regression, {self.values.min():.6g} .. {self.values.max():.6g}"
        several = self.values.ndim > 1
        number = len(self.class_names)
        counts = self.values.sum(axis=0) if several else np.bincount(self.values, minlength=number)
        shares = [
            f"{name} {count / len(self.values):.1%}"
            for name, count in zip(self.class_names, counts, strict=True)
        ]
        more = f", and {len(shares) - 10} more" if len(shares) > 10 else ""
        return f"{self.task}: {', '.join(shares[:10])}{more}"


def choose(columns: Sequence[Column], task: str = "") -> Target:
    """The target that one column makes, or several columns of 0 and 1.

    Numbers are a regression, unless they are at most 20 different whole ones; two values are
    binary; the rest are classes, in the order of their values.

    Args:
        task: one of TASKS, where it is not to be inferred.

    Raises:
        DataError: the values do not make the task, or no task.
    """
    if task not in ("", *TASKS):
        raise DataError(f"task={task!r} is unknown; expected {', '.join(TASKS)}")
    present = ~np.logical_or.reduce([column.missing for column in columns])
    name = ",".join(column.name for column in columns)
    if not present.any():
        raise DataError(f"the target {name} is missing in every row")
    if len(columns) > 1 or task == "multi_label":
        if task not in ("", "multi_label"):
            raise DataError(f"task={task} has one target, received {name}")
        flags = [_flags(column, column.values[present]) for column in columns]
        names = tuple(column.name for column in columns)
        return Target("multi_label", names, present, np.stack(flags, axis=1))

    values, numbers = columns[0].values[present], columns[0].kind == "number"
    distinct = sorted(set(values.tolist()))
    task = task or _task(values, columns[0].classes or distinct, numbers)
    if task == "regression":
        if not numbers:
            raise DataError(f"task=regression: the target {name} is no number: {_some(distinct)}")
        return Target(task, (), present, values.astype(np.float32))
    if len(distinct) < 2:
        raise DataError(f"the target {name} is {_some(distinct)} in every row: nothing to tell")
    if task == "binary" and len(distinct) > 2:
        raise DataError(f"task=binary: the target {name} has {len(distinct)} values")
    if len(distinct) > max(2, min(_MOST_CLASSES, len(values) / 2)):
        raise DataError(
            f"the target {name} has {len(distinct)} different values in {len(values)} rows, too "
            f"many for classes: {_some(distinct)}"
        )
    names = columns[0].classes or tuple(map(_word, distinct))
    place = {name: i for i, name in enumerate(names)}
    number = {value: place[_word(value)] for value in distinct}
    return Target(task, names, present, np.array([number[v] for v in values.tolist()], np.int64))


def _task(values: np.ndarray, distinct: Sequence, numbers: bool) -> str:
    if len(distinct) == 2:
        return "binary"
    whole = numbers and (values == np.floor(values)).all()
    if numbers and not (whole and len(distinct) <= _FEW):
        return "regression"
    return "classification"


def _flags(column: Column, values: np.ndarray) -> np.ndarray:
    words = [_word(value) for value in values.tolist()]
    wrong = next((word for word in words if word.lower() not in _FLAGS), None)
    if wrong is not None:
        raise DataError(f"of several targets each is 0 or 1; {column.name} has {wrong!r}")
    return np.array([_FLAGS[word.lower()] for word in words], np.float32)


def _word(value: bytes | float) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else f"{value:.15g}"


def _some(distinct: list) -> str:
    return ", ".join(_word(value)[:30] for value in distinct[:5])
