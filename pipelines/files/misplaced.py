"""Tables that are something else: several labels in a cell, or texts alone; what to write."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from pipelines.files.column_cells import Cells
from pipelines.files.shown import shown

_SEPARATORS = ("|", ";", ",", "/", "+", "&")
_LONGEST = 30  # characters of a tag
_MOST = 200  # tags
_WORDS = 3  # of a text, in the mean
_SAMPLE = 1000  # cells
_NONE = ("", "none", "-", "[]")


def several_labels(name: str, cells: Cells) -> str:
    """What to say of a target whose cells hold several labels; empty: they do not.

    They do where most parts of the cells with a separator stand alone, or in other company, in
    other cells.
    """
    if cells.numbers is not None:
        return ""
    distinct = {cell: n for cell, n in cells.counts.items() if cell.lower() not in _NONE}
    for separator in _SEPARATORS:
        joined = [cell for cell in distinct if separator in cell]
        if not joined:
            continue
        parts = Counter(
            part.strip() for cell in distinct for part in cell.split(separator) if part.strip()
        )
        again = sum(count > 1 for count in parts.values())
        alone = all(part.strip() in distinct for cell in joined for part in cell.split(separator))
        short = all(len(part) <= _LONGEST for part in parts)
        if (
            len(joined) < (1 if alone else 2)
            or not short
            or not 2 <= len(parts) <= _MOST
            or 2 * again < len(parts)
        ):
            continue
        rare = sum(distinct[cell] for cell in joined)
        some = ",".join(shown(part, 20) for part in sorted(parts)[:5])
        more = f" and {len(parts) - 5} more" if len(parts) > 5 else ""
        return (
            f"{rare} cells of the target {shown(name, 60)} hold several labels, such as "
            f"{shown(repr(joined[0]), 40)}, and each combination is a class of its own; for one "
            f"answer for each label write a column of 0 and 1 for each and --target={some}{more}"
        )
    return ""


def only_texts(inputs: Mapping[str, Cells], targets: Collection[str]) -> str:
    """What to say of a table of whose inputs nothing but texts is left; empty: it is none."""
    some = (cells.head(_SAMPLE) for cells in inputs.values())
    if not inputs or len(targets) != 1 or not all(map(_are_texts, some)):
        return ""
    names, target = ", ".join(shown(name, 60) for name in inputs), shown(next(iter(targets)), 60)
    return (
        f"{names} {'are texts' if len(inputs) > 1 else 'is a text'}, which a table's columns are "
        f"not: write {target}, a tab and the text in each line of a .tsv file, and train on it "
        "with --pipeline=text_lines"
    )


def _are_texts(cells: Sequence[str]) -> bool:
    present = [cell for cell in cells if cell]
    if len(present) < 2 or len(set(present)) <= 0.9 * len(present):
        return False
    words = sum(len(cell.split()) for cell in present) / len(present)
    letters = sum(any(c.isalpha() for c in cell) for cell in present)
    return words >= _WORDS and letters > 0.9 * len(present)
