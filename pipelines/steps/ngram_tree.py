"""Counts in how many training texts each n-gram occurs, and stores n-grams as edges of a tree.

An n-gram is a node, numbered from 1; its parent is the n-gram without its last unit, and the root
is 0. An edge is (parent, unit) in one 64-bit number. An n-gram is in no more texts than its parent,
so that the most frequent n-grams form a complete tree.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from pipelines.core.pipeline import Rows
from pipelines.core.rows import CHUNK, chunks, spaced, take

_MAX_BYTES = 2**28  # of training text that is counted; if there is more, evenly spaced rows
_SAMPLED = 1000  # rows from which the size of all is estimated


def edge(parent, unit):
    """The key of a node: its parent in the upper 32 bits, its last unit in the lower."""
    return parent * 2**32 + unit


def sample(train: Rows, field: str) -> tuple[Callable[[], Iterator[np.ndarray]], float]:
    """A reader of the texts to count, in chunks of a thousand, and the bytes of all texts."""
    sampled = spaced(train.num_rows, _SAMPLED)
    size = sum(map(len, take(train, sampled)[field])) / max(1, len(sampled)) * train.num_rows
    most = int(train.num_rows * min(1.0, _MAX_BYTES / max(1.0, size)))
    index = spaced(train.num_rows, max(1, most))
    return lambda: (chunk[field] for chunk in chunks(train, index)), size


def joined(chunks: Iterable) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], list[bytes]]:
    """The units of all chunks, whose rows are numbered consecutively.

    Args:
        chunks: distinct words, and `ngrams.Units` whose values are indices into them; or no words,
            and units that are code points.

    Returns:
        (units, ends, rows), (N,) each; and the words that the units are indices into, in the order
        of their first occurrence, if the units are words.
    """
    numbers: dict[bytes, int] = {}
    parts, first, row = [], 0, 0
    for words, units in chunks:
        values, end, rows = (tensor.numpy() for tensor in units)
        if len(words):
            table = [numbers.setdefault(word, len(numbers)) for word in words.numpy()]
            values = np.array(table, np.int32)[values]
        parts.append((values, end + first, rows + row))
        first, row = first + len(values), row + CHUNK
    units, ends, rows = (np.concatenate(column) for column in zip(*parts, strict=True))
    return (units, ends, rows), list(numbers)


def count(
    read: tuple[np.ndarray, np.ndarray, np.ndarray], *, longest: int, least: int, most: int
) -> np.ndarray:
    """Edges (V,) of the n-grams in the most texts, the most frequent first.

    Args:
        read: units, the end of each one's text or word, and its row: from `joined`.
        longest: units of the longest n-gram.
        least: number of texts that an n-gram must be in.
        most: largest number of n-grams.
    """
    units, end, row = read
    position, node, known = np.arange(len(units)), np.zeros(len(units), np.int64), 0
    keys, frequencies = [], []
    for size in range(longest):
        inside = position + size < end[position]
        position, node = position[inside], node[inside]
        key = edge(node, units[position + size].astype(np.int64))
        distinct, inverse, frequency = _in_rows(key, row[position])
        kept = frequency >= least
        number = np.cumsum(kept) + known  # of the kept ones
        alive = kept[inverse]
        position, node = position[alive], number[inverse[alive]]
        keys.append(distinct[kept])
        frequencies.append(frequency[kept])
        known += int(kept.sum())
    key, frequency = np.concatenate(keys), np.concatenate(frequencies)
    order = np.argsort(-frequency, kind="stable")[:most]  # of equal ones, the shorter first
    return _renumbered(key, order)


def own_numbers(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges with units renumbered in the order of the root's children, and their old numbers."""
    unit = edges % 2**32
    kept = unit[edges < 2**32]
    number = np.zeros(int(unit.max(initial=-1)) + 1, np.int64)
    number[kept] = np.arange(len(kept))
    return edge(edges // 2**32, number[unit]), kept


def _renumbered(key: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The edges `order` of `key`, with their parents' new numbers."""
    number = np.zeros(len(key) + 1, np.int64)  # 0 stays the root
    number[order + 1] = np.arange(1, len(order) + 1)
    key = key[order]
    return edge(number[key // 2**32], key % 2**32)


def _in_rows(key: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct keys, sorted; the index of each key among them; in how many rows each is.

    Args:
        row: of each key, ascending.
    """
    order = np.argsort(key, kind="stable")  # keeps the rows of equal keys ascending
    key, row = key[order], row[order]
    new_key = np.append(True, key[1:] != key[:-1])[: len(key)]
    new_row = np.append(True, row[1:] != row[:-1])[: len(key)]
    group = np.cumsum(new_key) - 1
    inverse = np.empty(len(key), np.int64)
    inverse[order] = group
    return key[new_key], inverse, np.bincount(group[new_key | new_row])
