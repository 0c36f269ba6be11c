"""Rows and schema of a table from its columns: which are inputs, and which is the target."""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from pipelines.core import splits
from pipelines.core.pipeline import SPLITS, DataError, Rows, Schema
from pipelines.files import columns, table_file, targets
from pipelines.files.columns import Column
from zoo.spec import Field, nearest

_log = logging.getLogger(__name__)


class Table(NamedTuple):
    """All rows of all splits, by column."""

    source: str
    columns: Sequence[Column]  # without ignored ones
    split_of: Sequence[str]  # of each row
    separate: Collection[str]  # validation or test, where it has files of its own
    digest: np.ndarray  # (N,) int64 of each row's content


class Cut(NamedTuple):
    """How splits without files of their own are cut from train."""

    seed: int
    validation: float
    test: float


def read(table: Table, target: str, task: str, cut: Cut) -> tuple[dict[str, Rows], Schema]:
    """The rows of every split and their schema; logs a summary.

    Args:
        target: the column to predict, or several columns of 0 and 1, separated by commas.
        task: of targets.TASKS; empty: inferred.

    Raises:
        DataError: no such column, no usable input, or a target that does not fit the task.
    """
    known = [column.name for column in table.columns]
    wanted = named(known, target, "target")
    chosen = targets.choose([column for column in table.columns if column.name in wanted], task)
    inputs = [column for column in table.columns if column.name not in wanted]
    reasons = {column.name: columns.unlearnable(column) for column in inputs}
    used = [column for column in inputs if not reasons[column.name]]
    left_out = _listed(f"{name or 'the first'} ({why})" for name, why in reasons.items() if why)
    if not used:
        raise DataError(f"{table.source}: no column is left to learn {target} from: {left_out}")
    rows, digest = _rows(used, chosen, target), table.digest[chosen.present]
    parts = np.array([SPLITS.index(name) for name in table.split_of])[chosen.present]
    lines = [
        f"{table.source}: {len(chosen.present)} rows, {len(known)} columns",
        *columns.describe(used),
        *([f"left out: {left_out}"] if left_out else []),
        *_remarks(table.columns, digest, parts),
        f"target {target}: {chosen.summary()}",
    ]
    if not chosen.present.all():
        lines.append(f"{np.sum(~chosen.present)} rows without {target} are left out")
    _log.info("\n".join(lines))
    schema = Schema(
        raw={name: field for name, field in rows.fields.items() if name != target},
        task=chosen.task,
        target=rows.fields[target],
        class_names=chosen.class_names,
        outputs=chosen.outputs,
        target_name=target,
    )
    return _by_split(rows, digest, parts, table.separate, cut), schema


def _by_split(
    rows: Rows, digest: np.ndarray, parts: np.ndarray, separate: Collection[str], cut: Cut
) -> dict[str, Rows]:
    index = {name: np.flatnonzero(parts == i) for i, name in enumerate(SPLITS)}
    by_split = {name: splits.take(rows, index[name]) for name in ("train", *separate)}
    if len(separate) < 2:
        fractions, train = cut._asdict(), digest[index["train"]]
        by_split |= splits.by_content(by_split["train"], train, separate=separate, **fractions)
    return by_split


def named(known: Sequence[str], value: str, option: str) -> list[str]:
    """The column names in an option's value. DataError: a column does not exist."""
    wanted = [value] if value in known else [name.strip() for name in value.split(",")]
    for name in filter(None, wanted):
        if name not in known:
            close = ", ".join(nearest(name, known) or known[:10])
            raise DataError(f"{option}={value}: no column {name!r}; nearest: {close}")
    return [name for name in wanted if name]


def _rows(used: Sequence[Column], chosen: targets.Target, target: str) -> Rows:
    """The rows that have a target, with columns named as a client sends them."""
    table, fields = {}, {}
    for column in used:
        name, number = table_file.field_name(column.name), column.kind == "number"
        values = column.values[chosen.present]
        if name in fields:
            raise DataError(f"two columns would be sent as {name!r}: ignore {column.name!r}")
        table[name] = values.astype(np.float32) if number else values
        fields[name] = Field((), "float32" if number else "string")
    table[target] = chosen.values
    fields[target] = chosen.field
    return Rows(len(chosen.values), fields, target, table=table)


def _listed(items: Iterable[str]) -> str:
    items = list(items)
    return ", ".join(items[:20]) + (f" and {len(items) - 20} more" if len(items) > 20 else "")


def _remarks(typed: Sequence[Column], digest: np.ndarray, parts: np.ndarray) -> list[str]:
    """Lines about the spelling of missing cells and about copies of rows, if there are any."""
    lines = []
    missing = sum((Counter(column.spelled) for column in typed), Counter())
    if missing:
        spellings = (
            f"{number} {text!r}" if text else f"{number} empty" for text, number in missing.items()
        )
        lines.append(f"missing cells: {_listed(spellings)}")
    copies = len(digest) - len(np.unique(digest))
    if copies:
        lines.append(f"{copies} rows are copies of an earlier one")
    by_split = {name: digest[parts == i] for i, name in enumerate(SPLITS)}
    for name, number in splits.duplicates(by_split).items():
        lines.append(f"{number} rows of {name} are in train too: its figures flatter the model")
    return lines
