"""Detects tables for another pipeline: several labels in a cell, or a single text as input."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from pipelines.files import free_text
from pipelines.files.column_cells import Cells
from pipelines.files.shown import shown

_SEPARATORS = ("|", ";", ",", "/", "+", "&")
_LONGEST = 30  # characters of a tag
_MAX_TAGS = 200
_WORDS = 3  # least mean words per text
_SAMPLE = 1000  # cells
NONE = ("", "none", "-", "[]")  # in lower case: no label


def separator(cells: Cells) -> str:
    """The separator of several labels in a cell; empty: each cell holds one label.

    Cells hold several labels if at least half of their parts recur in other cells, alone or in
    other combinations.
    """
    if cells.numbers is not None:
        return ""
    distinct = _labels(cells)
    for one in _SEPARATORS:
        joined = [cell for cell in distinct if one in cell]
        if not joined:
            continue
        parts = Counter(part for cell in distinct for part in parts_of(cell, one))
        again = sum(count > 1 for count in parts.values())
        alone = all(part.strip() in distinct for cell in joined for part in cell.split(one))
        short = all(len(part) <= _LONGEST for part in parts)
        if (
            len(joined) >= (1 if alone else 2)
            and short
            and 2 <= len(parts) <= _MAX_TAGS
            and 2 * again >= len(parts)
        ):
            return one
    return ""


def parts_of(cell: str, separator: str) -> list[str]:
    """The labels in a cell."""
    return [part.strip() for part in cell.split(separator) if part.strip()]


def several_labels(name: str, cells: Cells) -> str:
    """A warning about a target whose cells hold several labels; empty: they do not."""
    mark = separator(cells)
    if not mark:
        return ""
    distinct = _labels(cells)
    joined = [cell for cell in distinct if mark in cell]
    parts = {part for cell in distinct for part in parts_of(cell, mark)}
    rare = sum(distinct[cell] for cell in joined)
    some = ",".join(shown(part, 20) for part in sorted(parts)[:5])
    more = f" and {len(parts) - 5} more" if len(parts) > 5 else ""
    return (
        f"{rare} cells of the target {shown(name, 60)} hold several labels, such as "
        f"{shown(repr(joined[0]), 40)}, and each combination is a class of its own; for one "
        f"answer for each label write a column of 0 and 1 for each and --target={some}{more}"
    )


def _labels(cells: Cells) -> dict[str, int]:
    return {cell: n for cell, n in cells.counts.items() if cell.lower() not in NONE}


def only_texts(inputs: Mapping[str, Cells], targets: Collection[str]) -> str:
    """An error message about a table whose only input is a text; empty: any other table."""
    some = (cells.head(_SAMPLE) for cells in inputs.values())
    if len(inputs) != 1 or len(targets) != 1 or not all(map(_are_texts, some)):
        return ""
    name, target = (shown(next(iter(names)), 60) for names in (inputs, targets))
    return (
        f"{name} is a text, and the only input: train on it with --pipeline=text_table "
        f"--target={target}"
    )


def _are_texts(cells: Sequence[str]) -> bool:
    present = [cell for cell in cells if cell]
    if len(present) < 2 or len(set(present)) <= 0.9 * len(present):
        return False
    words = free_text.mean_words(Counter(present))
    letters = sum(any(c.isalpha() for c in cell) for cell in present)
    return words >= _WORDS and letters > 0.9 * len(present)
