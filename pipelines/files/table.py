"""Rows and schema of a table from its columns: which are inputs, and which is the target."""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from pipelines.core import splits
from pipelines.core.pipeline import SPLITS, DataError, Rows, Schema
from pipelines.files import labels, leaks, summary, table_file, targets
from pipelines.files.columns import Column
from pipelines.files.readings import Reading
from pipelines.files.shown import shown
from pipelines.files.table_file import NAME, quoted
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


class Chosen(NamedTuple):
    """The options about the columns."""

    target: str  # the column to predict, or several of 0 and 1, separated by commas
    task: str = ""  # of targets.TASKS; empty: inferred
    keep: str = ""  # columns to use although they count the rows, separated by commas
    labels: str = ""  # as_written: labels that differ only in case or spaces are kept apart


def read(table: Table, options: Chosen, cut: Cut) -> tuple[dict[str, Rows], Schema]:
    """The rows of every split and their schema; logs a summary.

    Raises:
        DataError: no such column, no usable input, or a target that does not fit the task.
    """
    target, known = options.target, [column.name for column in table.columns]
    wanted, kept = named(known, target, "target"), named(known, options.keep, "keep")
    if not wanted:
        raise DataError(f"target={shown(target)} names no column; choose from {listed(known)}")
    predicted = [labelled(column, options) for column in table.columns if column.name in wanted]
    chosen = targets.choose(predicted, options.task)
    inputs = [column for column in table.columns if column.name not in wanted]
    reasons = _reasons(inputs, kept)
    used = [column for column in inputs if not reasons[column.name]]
    left_out = _listed(
        f"{shown(name, NAME) or 'the first'} ({why})" for name, why in reasons.items() if why
    )
    if not used:
        raise DataError(
            f"{table.source}: no column is left to learn {shown(target, NAME)} from: {left_out}"
        )
    rows, digest = _rows(used, chosen, target), table.digest[chosen.present]
    numbers = {name: i for i, name in enumerate(SPLITS)}
    parts = np.array([*map(numbers.__getitem__, table.split_of)])[chosen.present]
    lines = [
        f"{table.source}: {len(chosen.present)} rows, {len(known)} columns",
        *summary.describe(used),
        *([f"left out: {left_out}"] if left_out else []),
        *(line for c in inputs if reasons[c.name] for line in c.remark.splitlines()),
        *_remarks(table.columns, digest, parts),
        *(line for column in predicted for line in column.remark.splitlines()),
        f"target {shown(target, NAME)}: {chosen.summary()}",
    ]
    if not chosen.present.all():
        lines.append(f"{np.sum(~chosen.present)} rows without {shown(target, NAME)} are left out")
    _log.info("\n".join(lines))
    _warn(table.source, leaks.warnings(used, chosen.present, chosen.values))
    schema = Schema(
        raw={name: field for name, field in rows.fields.items() if name != target},
        task=chosen.task,
        target=rows.fields[target],
        class_names=chosen.class_names,
        outputs=chosen.outputs,
        target_name=target,
    )
    by_split = _by_split(rows, digest, parts, table.separate, cut)
    warn_of_classes(by_split, schema)
    return by_split, schema


def _reasons(inputs: Sequence[Column], kept: Collection[str]) -> dict[str, str]:
    """Why each column is left out; empty if it is used."""
    counting = summary.row_numbers(inputs, kept)
    return {
        c.name: ""
        if c.name in kept and not c.missing.all()
        else counting.get(c.name) or summary.unlearnable(c)
        for c in inputs
    }


def listed(names: Iterable[str]) -> str:
    """Names of columns for a message, twenty at most."""
    return _listed(shown(name, NAME) for name in names)


def _warn(source: str, lines: Iterable[str]) -> None:
    for line in lines:
        _log.warning("%s: %s", source, line)


def labelled(column: Column, options: Chosen) -> Column:
    """A target's column with one spelling per class, unless the options keep them as written."""
    if options.labels not in ("", "as_written"):
        raise DataError(f"labels={shown(options.labels)}: expected as_written, or nothing")
    return column if options.labels else labels.merged(column)


def warn_of_classes(by_split: dict[str, Rows], schema: Schema) -> None:
    """Warns of classes that training cannot learn because none of its rows has them."""
    if schema.target.ids is None:
        return
    counts = {
        name: np.bincount(rows.table[rows.target], minlength=len(schema.class_names))
        for name, rows in by_split.items()
    }
    for name, of_split in counts.items():
        unseen = np.flatnonzero((counts["train"] == 0) & (of_split > 0))
        if len(unseen):
            shown = _listed(f"{quoted(schema.class_names[i])} ({of_split[i]} rows)" for i in unseen)
            _log.warning("%s has classes that no row of train has: %s", name, shown)


def _by_split(
    rows: Rows, digest: np.ndarray, parts: np.ndarray, separate: Collection[str], cut: Cut
) -> dict[str, Rows]:
    index = {name: np.flatnonzero(parts == i) for i, name in enumerate(SPLITS)}
    by_split = {
        # Not copied if the split has all rows.
        name: splits.select(rows, index[name]) if len(index[name]) < rows.num_rows else rows
        for name in ("train", *separate)
    }
    if len(separate) < 2:
        fractions, train = cut._asdict(), digest[index["train"]]
        by_split |= splits.by_content(by_split["train"], train, separate=separate, **fractions)
    return by_split


def named(known: Sequence[str], value: str, option: str) -> list[str]:
    """The column names in an option's value. DataError: a column does not exist."""
    wanted = [value] if value in known else [name.strip() for name in value.split(",")]
    for name in filter(None, wanted):
        if name not in known:
            # The comparison takes minutes for a name of 5 000 characters, or among a million.
            near = nearest(name, known) if len(name) < 200 and len(known) < 10_000 else ()
            close = ", ".join(shown(n, NAME) for n in near or known[:10])
            raise DataError(f"{option}={shown(value)}: no column {quoted(name)}; nearest: {close}")
    return [name for name in wanted if name]


def _rows(used: Sequence[Column], chosen: targets.Target, target: str) -> Rows:
    """The rows that have a target, with columns named as in a client's requests."""
    table, fields, readings = {}, {}, {}
    for column in used:
        name = table_file.field_name(column.name)
        texts = column.values if column.kind == "text" else column.sent
        values = (targets.floats(column.values) if texts is None else texts)[chosen.present]
        if name in fields:
            raise DataError(
                f"two columns would be sent as {quoted(name)}: ignore {quoted(column.name)}"
            )
        table[name] = values
        fields[name] = Field((), values.dtype.name if texts is None else "string")
        readings[name] = column.reading or Reading(column.kind)
    table[target] = chosen.values
    fields[target] = chosen.field
    return Rows(len(chosen.values), fields, target, table=table, readings=readings)


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
    copies = len(digest) - len(np.unique(digest, return_counts=True)[0])  # sorted, not hashed
    if not copies:
        return lines
    lines.append(f"{copies} rows are copies of an earlier one")
    by_split = {name: digest[parts == i] for i, name in enumerate(SPLITS)}
    for name, number in splits.duplicates(by_split).items():
        lines.append(f"{number} rows of {name} are in train too: its figures flatter the model")
    return lines
