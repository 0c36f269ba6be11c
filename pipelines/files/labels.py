"""Labels of a target that differ only in spelling, and whole numbers that may be classes."""

from collections import Counter, defaultdict
from collections.abc import Mapping

import numpy as np

from pipelines.files.columns import Column
from pipelines.files.shown import shown
from pipelines.files.table_file import NAME, quoted

_MAX_CLASSES = 100  # more distinct whole numbers are always amounts
_MIN_ROWS = 5  # rows of each number, in an even histogram
_EVEN = 4.0  # largest ratio of the counts of the most and the least frequent number


def merged(column: Column) -> Column:
    """The column in which labels that differ only in case or spaces get their commonest spelling.

    Single characters are kept apart by case: a data set of letters has a and A.
    """
    if column.kind != "text" or column.classes:
        return column
    counts = Counter(column.values[~column.missing].tolist())
    groups: Mapping[str, list[bytes]] = defaultdict(list)
    for label in sorted(counts, key=lambda label: (-counts[label], label)):
        plain = " ".join(label.decode(errors="replace").split())
        groups[plain if len(plain) < 2 else plain.casefold()].append(label)
    alike = {first: others for first, *others in groups.values() if others}
    if not alike:
        return column
    spelled = {other: first for first, others in alike.items() for other in others}
    values = np.array([spelled.get(value, value) for value in column.values.tolist()], object)
    lines = [
        f"{shown(column.name, NAME)}: {', '.join(map(_quoted, others[:5]))} "
        f"({sum(counts[o] for o in others)} cells) are taken as "
        f"{_quoted(first)}; labels=as_written keeps them apart"
        for first, others in alike.items()
    ]
    remark = "\n".join(filter(None, [column.remark, *lines]))
    return column._replace(values=values, distinct=len(groups), remark=remark)


def _quoted(label: bytes) -> str:
    return quoted(label.decode(errors="replace"))


def either(values: np.ndarray) -> bool:
    """Whether whole numbers may be classes or amounts: from 0 or 1 on, no gap, about equally often.

    A histogram of amounts or counts has a peak and a tail; one of class numbers has neither.

    Args:
        values: (N,) whole numbers, with more distinct ones than the few that are always classes.
    """
    distinct, counts = np.unique(values, return_counts=True)
    consecutive = distinct[0] in (0, 1) and (np.diff(distinct) == 1).all()
    even = counts.min() >= _MIN_ROWS and counts.max() <= _EVEN * counts.min()
    return bool(len(distinct) <= _MAX_CLASSES and consecutive and even)
