"""Finds the columns of a table that have the texts and the labels."""

import logging
from collections.abc import Mapping, Sequence

from pipelines.core.pipeline import DataError
from pipelines.files import free_text, table, table_file
from pipelines.files.shown import shown
from pipelines.files.table_cells import TableCells

_log = logging.getLogger(__name__)
_SHOWN = 20  # columns that are named


def targets(cells: TableCells, target: str, source: str) -> list[str]:
    """The columns to predict. DataError: there is none."""
    wanted = table.named(cells.names, target, "target")
    if not wanted:
        raise DataError(
            f"{source}: expected a column of labels, --target=<one of "
            f"{table.listed(cells.names)}>; texts without labels are for --task=masked_lm"
        )
    return wanted


def text(
    cells: TableCells,
    nested: Mapping[str, str],
    option: str,
    targets: Sequence[str],
    source: str,
) -> str:
    """The column of texts: the one that the option names, or the only possible one.

    Args:
        nested: column -> "file:line" of its first list or object.
        option: value of the option; empty: the column is inferred.
        targets: columns to predict.

    Raises:
        DataError: there is no such column, several are possible, or a column that is used holds
            lists or objects.
    """
    others = [name for name in cells.names if name not in targets]
    if option:
        names = table.named(cells.names, option, "text")
        if len(names) != 1 or names[0] in targets:
            raise DataError(
                f"text={shown(option)}: expected one column that is not the target, of "
                f"{table.listed(others)}"
            )
    else:
        names = others if len(others) == 1 else _free(cells, others)
        if len(names) == 1:
            _log.info("%s: the texts are those of %s", source, shown(names[0], table_file.NAME))
    for name in [*names, *targets]:
        if name in nested:
            raise DataError(
                f"{nested[name]}: {table_file.quoted(name)} holds a list or an object, expected a "
                "text, number or truth value"
            )
    if len(names) == 1:
        return names[0]
    counts = dict(zip(cells.names, cells.columns, strict=True))
    words = {name: free_text.mean_words(counts[name].counts) for name in others[:_SHOWN]}
    listed = (f"{shown(name, table_file.NAME)} ({words[name]:.1f})" for name in words)
    likely = max(words, key=lambda name: (name in names, words[name]), default="...")
    raise DataError(
        f"{source}: {len(names) or 'none'} of its columns {'are' if names else 'is clearly'} free "
        f"text: choose --pipeline_options=text={shown(likely)} or another of, with their words on "
        f"average, {', '.join(listed)}"
    )


def _free(cells: TableCells, names: Sequence[str]) -> list[str]:
    columns_of = dict(zip(cells.names, cells.columns, strict=True))
    return [
        name
        for name in names
        if columns_of[name].numbers is None and free_text.is_free(columns_of[name].counts)
    ]
