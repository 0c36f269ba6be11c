"""From the columns of a table to its pipeline: what is used, what is predicted, which split."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from pipelines import SPLITS, DataError, Pipeline, Rows
from pipelines.core import splits
from pipelines.files import columns, table_file, targets
from pipelines.files.columns import Column
from pipelines.steps import tabular
from zoo.spec import Field


class Table(NamedTuple):
    """All rows of all splits, by column."""

    source: str
    columns: Sequence[Column]  # without those that were asked to be left out
    split_of: Sequence[str]  # of each row
    given: Collection[str]  # of validation and test, what is not cut from train
    digest: np.ndarray  # (N,) int64 of each row's content


class Cut(NamedTuple):
    """How the splits that are not given are cut from train."""

    seed: int
    validation: float
    test: float


def over(name: str, table: Table, target: str, task: str, cut: Cut) -> Pipeline:
    """The pipeline `name` over the table.

    Args:
        target: the column to predict; several of 0 and 1 with commas between them.
        task: of targets.TASKS; empty: inferred.

    Raises:
        DataError: no such column, no column to learn from, a target of no known task.
    """
    known = [column.name for column in table.columns]
    wanted = named(known, target, "target")
    found = targets.choose([column for column in table.columns if column.name in wanted], task)
    inputs = [column for column in table.columns if column.name not in wanted]
    left_out = {column.name: columns.unlearnable(column) for column in inputs}
    used = [column for column in inputs if not left_out[column.name]]
    why = _listed(f"{name or 'the first'} ({why})" for name, why in left_out.items() if why)
    if not used:
        raise DataError(f"{table.source}: no column to learn from {target} is left; {why}")
    rows, digest = _rows(used, found, target), table.digest[found.present]
    parts = np.array([SPLITS.index(name) for name in table.split_of])[found.present]
    told = [
        f"{table.source}: {len(found.present)} rows, {len(known)} columns",
        *columns.describe(used),
        *([f"left out: {why}"] if why else []),
        *_remarks(table.columns, digest, parts),
        f"target {target}: {found.told()}",
    ]
    if not found.present.all():
        told.append(f"{np.sum(~found.present)} rows without {target} are left out")
    dates = {table_file.field_name(column.name) for column in used if column.kind == "date"}

    def read() -> dict[str, Rows]:
        by_name = {name: np.flatnonzero(parts == i) for i, name in enumerate(SPLITS)}
        train = by_name["train"]
        read = {name: splits.take(rows, by_name[name]) for name in ("train", *table.given)}
        if len(table.given) < 2:
            shares, given = cut._asdict(), table.given
            read |= splits.by_content(read["train"], digest[train], given=given, **shares)
        return read

    return Pipeline(
        name=name,
        source=table.source,
        splits={name: name for name in SPLITS},
        task=found.task,
        target=target,
        class_names=found.class_names,
        raw={name: field for name, field in rows.fields.items() if name != target},
        read=read,
        prepare=tabular.fitting(told, dates=dates),
        bind=tabular.encode,
    )


def named(known: Sequence[str], words: str, option: str) -> list[str]:
    """The column names that an option holds. DataError: there is none such; it says the nearest."""
    wanted = [words] if words in known else [word.strip() for word in words.split(",")]
    for word in filter(None, wanted):
        if word not in known:
            close = table_file.nearest(word, known)
            raise DataError(f"{option}={words}: no column {word!r}; nearest: {close}")
    return [word for word in wanted if word]


def _rows(used: Sequence[Column], found: targets.Target, target: str) -> Rows:
    """The rows that have a target, their columns by the names that a client sends."""
    table, fields = {}, {}
    for column in used:
        name, number = table_file.field_name(column.name), column.kind == "number"
        values = column.values[found.present]
        if name in fields:
            raise DataError(f"two columns would be sent as {name!r}: ignore {column.name!r}")
        table[name] = values.astype(np.float32) if number else values
        fields[name] = Field((), "float32" if number else "string")
    table[target] = found.values
    fields[target] = Field(found.values.shape[1:], found.values.dtype.name)
    return Rows(len(found.values), fields, target, table=table)


def _listed(words) -> str:
    words = list(words)
    return ", ".join(words[:20]) + (f" and {len(words) - 20} more" if len(words) > 20 else "")


def _remarks(typed: Sequence[Column], digest: np.ndarray, parts: np.ndarray) -> list[str]:
    """How missing cells are written, and copies of rows, where there are any."""
    said = []
    missing = sum((Counter(column.spelled) for column in typed), Counter())
    if missing:
        ways = (
            f"{number} {word!r}" if word else f"{number} empty" for word, number in missing.items()
        )
        said.append(f"missing cells: {_listed(ways)}")
    copies = len(digest) - len(np.unique(digest))
    if copies:
        said.append(f"{copies} rows are copies of an earlier one")
    by_split = {name: digest[parts == i] for i, name in enumerate(SPLITS)}
    for name, number in splits.duplicates(by_split).items():
        said.append(f"{number} rows of {name} are in train too: its figures flatter the model")
    return said
